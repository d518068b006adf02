"""Layers that are streamed from a registry: broken connections, wrong bytes, bounds, cancelling."""

from __future__ import annotations

import gzip
import random
import threading

import pytest
import zstandard

from layerscope.errors import RegistryError
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.images.registry.transport import Patience
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Handler,
    Slowly,
    cut_after,
    digest_of,
    sent_in_all,
    tar_of,
)
from tests.unit.images.registry.registry_layers import changesets, layer_of, paths


def test_layers_and_content(registry: FakeRegistry) -> None:
    layers = [layer_of(n) for n in range(5)]
    registry.image(layers)
    reader = registry.reader()
    progress = Progress()
    found = changesets(reader, progress)
    assert sorted(found) == list(range(5))
    assert paths(found[3]) == {b"d", b"d/noise", b"d/3"}
    assert progress.done == progress.total == sum(map(len, layers))
    assert reader.verified == set(range(5))
    assert [layer.stored_size for layer in reader.image.layers] == list(map(len, layers))
    assert [layer.digest for layer in reader.image.layers] == [digest_of(each) for each in layers]
    row = found[2].paths().index(b"d/2")
    assert b"".join(filled(reader.content(2, found[2], row))) == b"2\n"
    assert reader.image.id.startswith("sha256:")
    assert reader.image.source == f"docker://{registry.address}/app:latest"


def test_content_fetches_no_more_than_it_needs(registry: FakeRegistry) -> None:
    files = {"first": b"1\n", "noise": random.Random(1).randbytes(40_000_000), "last": b"2\n"}
    layer = gzip.compress(tar_of(files), 1, mtime=0)
    registry.image([layer])
    reader = registry.reader()
    found = changesets(reader)[0]
    registry.asked.clear()
    assert b"".join(filled(reader.content(0, found, found.paths().index(b"first")))) == b"1\n"
    # What the kernel keeps in its buffers has been sent, too.
    assert sent_in_all(registry.asked) < len(layer) / 2
    assert b"".join(filled(reader.content(0, found, found.paths().index(b"last")))) == b"2\n"


def test_zstd_and_plain_tar(registry: FakeRegistry) -> None:
    plain = tar_of({"a": b"b"})
    registry.image([zstandard.compress(plain), plain, b""], plain=[plain, plain, b""])
    found = changesets(registry.reader())
    assert paths(found[0]) == paths(found[1]) == {b"a"}
    assert len(found[2]) == 0


def test_a_layer_that_comes_twice_is_fetched_once(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer, layer_of(2), layer])
    found = changesets(registry.reader())
    assert paths(found[0]) == paths(found[2])
    asked = [each for each in registry.asked if digest_of(layer) in each.path]
    assert len(asked) == 1


def test_known_layers_are_not_fetched(registry: FakeRegistry) -> None:
    layers = [layer_of(n) for n in range(3)]
    registry.image(layers)
    reader = registry.reader()
    progress = Progress()
    assert set(dict(reader.changesets(progress, {0, 2}))) == {1}
    assert progress.total == len(layers[1])
    assert {each.path.rpartition("/")[2] for each in registry.blob_requests()[1:]} == {
        digest_of(layers[1])
    }
    keys = [reader.cache_key(n) for n in range(3)]
    assert len(set(keys)) == 3
    assert None not in keys


def test_fetched_side_by_side(registry: FakeRegistry) -> None:
    """Two layers wait for each other, so one after the other would never end."""
    meeting = threading.Barrier(2)
    layers = [layer_of(1), layer_of(2)]

    def meet(handler: Handler) -> bool:
        meeting.wait(60)
        return False

    registry.image(layers)
    reader = registry.reader()
    for layer in layers:
        registry.when(digest_of(layer), meet)
    assert len(changesets(reader)) == 2


# --- connections that break ---


def test_a_cut_connection_is_resumed(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    registry.when(digest_of(layer), cut_after(100_000), times=3)
    assert paths(changesets(reader)[0]) == {b"d", b"d/noise", b"d/1"}
    requests = registry.blob_requests()[1:]
    assert len(requests) == 4
    end = len(layer) - 1
    assert [each.range for each in requests] == [
        None,
        f"bytes=100000-{end}",
        f"bytes=200000-{end}",
        f"bytes=300000-{end}",
    ]
    assert sent_in_all(requests) == len(layer)


def test_resumed_without_ranges(registry: FakeRegistry) -> None:
    """The registry begins anew; what was had is passed over, and nothing parsed twice."""
    registry.ranges = False
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    registry.when(digest_of(layer), cut_after(300_000), times=1)
    assert paths(changesets(reader)[0]) == {b"d", b"d/noise", b"d/1"}
    assert sent_in_all(registry.blob_requests()[1:]) == 300_000 + len(layer)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_cut_for_good(registry: FakeRegistry, ranges: bool) -> None:
    registry.ranges = ranges
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    registry.when(digest_of(layer), cut_after(100_000 if not ranges else 0))
    with pytest.raises(RegistryError, match=r"broke at byte \d+ of layer 0 .*, 3 times"):
        changesets(reader)


def test_a_body_that_ends_early_without_a_length(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])

    def short(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.write(layer[:5000])
        handler.close_connection = True
        return True

    registry.when(digest_of(layer), short, times=1)
    assert len(changesets(registry.reader())) == 1


def test_a_silent_registry_is_given_another_try(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    slow = Slowly(50_000)
    registry.when(digest_of(layer), slow, times=1)
    patience = Patience(connect=1, read=0.2, tries=3, first_wait=0.01)
    assert len(changesets(registry.reader(patience=patience))) == 1
    slow.go.set()
    assert registry.blob_requests()[-1].range == f"bytes=50000-{len(layer) - 1}"


@pytest.mark.parametrize("status", [200, 206, 400, 401, 403, 404, 405, 416, 501])
def test_ranges_that_are_refused(registry: FakeRegistry, status: int) -> None:
    """Whatever the registry answers to a range, the blob is read whole and the rest used."""
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()

    def refuse(handler: Handler) -> bool:
        if not handler.headers.get("Range"):
            return False
        span = f"bytes 0-{len(layer) - 1}/{len(layer)}"  # of another range than was requested
        body = layer if status in (200, 206) else b"no ranges"
        handler.reply(status, body, {"Content-Range": span} if status == 206 else {})
        return True

    registry.when(digest_of(layer), refuse)
    registry.when(digest_of(layer), cut_after(200_000), times=1)
    assert paths(changesets(reader)[0]) == {b"d", b"d/noise", b"d/1"}


def test_416(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    # The registry has lost the end of the blob, and ends its answer there.
    registry.blobs[digest_of(layer)] = layer[:200_000]
    with pytest.raises(RegistryError, match=r"less of layer 0 .* than its manifest says"):
        changesets(reader)
