"""Layers that are streamed from a registry: broken connections, wrong bytes, bounds, cancelling."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest
import zstandard

from layerscope.errors import BadInputError, Cancelled, LayerscopeError, RegistryError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.progress import Progress
from layerscope.images.registry import RegistryReader
from layerscope.images.registry_transport import Patience
from tests.unit.misbehaving_registry import (
    FakeRegistry,
    Handler,
    Slowly,
    answer,
    cut_after,
    digest_of,
    fake_registry,
    noise,
    tar_of,
)

BIG = 400_000


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as running:
        yield running


def layer_of(seed: int = 1, size: int = BIG) -> bytes:
    files = {"d": None, "d/noise": noise(size, seed), f"d/{seed}": b"%d\n" % seed}
    return gzip.compress(tar_of(files), mtime=0)


def changesets(reader: RegistryReader, progress: Progress | None = None) -> dict[int, Changeset]:
    return dict(reader.changesets(progress or Progress(), ()))


def paths(changeset: Changeset) -> set[bytes]:
    return set(changeset.paths())


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
    assert reader.stored_sizes == tuple(map(len, layers))
    assert [layer.digest for layer in reader.image.layers] == [digest_of(each) for each in layers]
    row = found[2].paths().index(b"d/2")
    assert b"".join(reader.content(2, found[2], row)) == b"2\n"
    assert reader.image.id.startswith("sha256:")
    assert reader.image.source == f"docker://{registry.address}/app:latest"


def test_content_fetches_no_more_than_it_needs(registry: FakeRegistry) -> None:
    files = {"first": b"1\n", "noise": noise(8_000_000), "last": b"2\n"}
    registry.image([gzip.compress(tar_of(files), 1, mtime=0)])
    reader = registry.reader()
    found = changesets(reader)[0]
    registry.asked.clear()
    assert b"".join(reader.content(0, found, found.paths().index(b"first"))) == b"1\n"
    for _ in range(100):
        if registry.asked[0].sent:
            break
        time.sleep(0.01)
    # What the kernel keeps in its buffers has been sent, too.
    assert registry.asked[0].sent <= 8_100_000
    assert b"".join(reader.content(0, found, found.paths().index(b"last"))) == b"2\n"


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
        meeting.wait(10)
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
    assert sum(each.sent for each in requests) == len(layer)


def test_resumed_without_ranges(registry: FakeRegistry) -> None:
    """The registry begins anew; what was had is passed over, and nothing parsed twice."""
    registry.ranges = False
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    registry.when(digest_of(layer), cut_after(300_000), times=1)
    assert paths(changesets(reader)[0]) == {b"d", b"d/noise", b"d/1"}
    assert sum(each.sent for each in registry.blob_requests()[1:]) == 300_000 + len(layer)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_cut_for_good(registry: FakeRegistry, ranges: bool) -> None:
    registry.ranges = ranges
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    registry.when(digest_of(layer), cut_after(100_000 if not ranges else 0))
    with pytest.raises(RegistryError, match=r"broke off at byte \d+ of layer 0 .*, 3 times"):
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


def test_another_range_than_asked(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()

    def shifted(handler: Handler) -> bool:
        if not handler.headers.get("Range"):
            return False
        span = f"bytes 0-{len(layer) - 1}/{len(layer)}"
        handler.reply(206, layer, {"Content-Range": span})
        return True

    registry.when(digest_of(layer), shifted)
    registry.when(digest_of(layer), cut_after(1000), times=1)
    with pytest.raises(RegistryError, match="another part"):
        changesets(reader)


def test_416(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    # The registry has lost the end of the blob, and ends its answer there.
    registry.blobs[digest_of(layer)] = layer[:200_000]
    with pytest.raises(RegistryError, match=r"less of layer 0 .* than its manifest says"):
        changesets(reader)


# --- wrong bytes ---


def test_wrong_digest(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    for changed in (layer[:-1] + b"\1", layer_of(7)[: len(layer)].ljust(len(layer), b"\0")):
        registry.blobs[digest_of(layer)] = changed
        with pytest.raises(RegistryError, match="other bytes than the digest says for layer 0"):
            changesets(reader)
    registry.blobs[digest_of(layer)] = layer + b"more"
    assert len(changesets(reader)) == 1  # what is behind its size is no part of the blob


def test_garbled_on_the_way(registry: FakeRegistry) -> None:
    """What cannot be decompressed since it was garbled is told by its cause."""
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    registry.blobs[digest_of(layer)] = layer[:1000] + bytes(5000) + layer[6000:]
    with pytest.raises(RegistryError, match="other bytes than the digest says"):
        changesets(reader)


def test_damaged_when_it_was_pushed(registry: FakeRegistry) -> None:
    for name, layer in {
        "nothing": b"garbage" * 500,
        "truncated": gzip.compress(tar_of({"a": noise(10_000)})[:5000]),
        "short": layer_of()[:-20],
        "zstd": zstandard.compress(tar_of({"a": noise(10_000)}))[:-9],
    }.items():
        registry.image([layer], name, plain=[b""])
        with pytest.raises(BadInputError, match=rf"app:{name}[,:] layer "):
            changesets(registry.reader(f"app:{name}"))


def test_another_layer_than_the_configuration_names(registry: FakeRegistry) -> None:
    registry.image([layer_of()], diff_ids=["sha256:" + "0" * 64])
    with pytest.raises(RegistryError, match="not the one that the image's configuration names"):
        changesets(registry.reader())


def test_content_that_changed(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    found = changesets(reader)[0]
    registry.blobs[digest_of(layer)] = layer_of(9)
    with pytest.raises(RegistryError, match="other bytes of a file in layer 0"):
        b"".join(reader.content(0, found, found.paths().index(b"d/noise")))


def test_sha512(registry: FakeRegistry) -> None:
    import json

    registry.image([layer_of()])
    kind, data = registry.manifests["latest"]
    document = json.loads(data)
    digest = document["layers"][0]["digest"]
    layer = registry.blobs.pop(digest)
    other = "sha512:" + hashlib.sha512(layer).hexdigest()
    registry.blobs[other] = layer
    document["layers"][0]["digest"] = other
    registry.manifest(document, kind, "latest")
    assert len(changesets(registry.reader())) == 1
    document["layers"][0]["digest"] = "md5:" + "0" * 32
    registry.manifest(document, kind, "latest")
    with pytest.raises(RegistryError, match="digest that cannot be checked"):
        changesets(registry.reader())


def test_a_missing_layer(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    registry.blobs.pop(digest_of(layer))
    with pytest.raises(RegistryError, match=r"has no layer 0 .* incomplete"):
        changesets(registry.reader())


def test_a_foreign_layer(registry: FakeRegistry) -> None:
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    layer = layer_of()
    registry.image([layer], layer_type=kind)
    assert len(changesets(registry.reader())) == 1  # some registries do keep them
    registry.blobs.pop(digest_of(layer))
    with pytest.raises(RegistryError, match=r"Layer 0 of .* is foreign"):
        changesets(registry.reader())


# --- bounds ---


def test_a_bomb_takes_no_memory(registry: FakeRegistry) -> None:
    """200 MB of zeros in 200 kB: as the content of a file, and behind the end of the tar."""
    import io
    import tarfile

    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as zipped:
        member = tarfile.TarInfo("zeros")
        member.size = 200 << 20
        zipped.write(member.tobuf())
        for _ in range(200):
            zipped.write(bytes(1 << 20))
        zipped.write(bytes(1024))
    bomb = stream.getvalue()
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as zipped:
        zipped.write(tar_of({"a": b"b"}))
        for _ in range(100):
            zipped.write(bytes(1 << 20))
    padded = stream.getvalue()
    registry.image([bomb, padded])
    reader = registry.reader()
    tracemalloc.start()
    try:
        with pytest.raises(RegistryError, match=r"layer 1 .*more than 64 MiB follow the end"):
            changesets(reader)
        known = reader.changesets(Progress(), {1})
        assert [changeset.size for _, changeset in known] == [200 << 20]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20


# --- cancelling ---


def cancelled_within(reader: RegistryReader, after: threading.Event, limit: float = 1.0) -> None:
    """Cancels once an event has come, and fails if it takes long to end."""
    progress = Progress()
    errors: list[BaseException] = []

    def read() -> None:
        try:
            changesets(reader, progress)
        except LayerscopeError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert after.wait(5)
    time.sleep(0.05)
    begun = time.monotonic()
    progress.cancel()
    thread.join(5)
    assert time.monotonic() - begun < limit
    assert [type(error) for error in errors] == [Cancelled]


def test_cancelled_while_the_registry_is_silent(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    slow = Slowly(1000)
    registry.when(digest_of(layer), slow)
    try:
        cancelled_within(registry.reader(patience=Patience(read=20)), slow.reached)
    finally:
        slow.go.set()


def test_cancelled_while_waiting_for_another_try(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    asked = threading.Event()

    def busy(handler: Handler) -> bool:
        asked.set()
        return answer(429, Retry_After="60")(handler)

    registry.when(digest_of(layer), busy)
    cancelled_within(registry.reader(patience=Patience()), asked)


def test_a_reader_that_is_left_early_ends_the_transfers(registry: FakeRegistry) -> None:
    layers = [layer_of(n) for n in range(4)]
    registry.image(layers)
    slow = Slowly(1000)
    registry.when(digest_of(layers[3]), slow)
    reader = registry.reader(patience=Patience(read=20))
    found = reader.changesets(Progress(), ())
    next(found)
    begun = time.monotonic()
    found.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 1
    deadline = time.monotonic() + 3
    while any(t.name.startswith("layer ") for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    slow.go.set()
