"""Layers with wrong bytes, bombs, and the wish to stop."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
import tracemalloc

import pytest
import zstandard

from layerscope.errors import BadInputError, Cancelled, LayerscopeError, RegistryError
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.images.registry.reader import RegistryReader
from layerscope.images.registry.transport import Patience
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Handler,
    Slowly,
    answer,
    digest_of,
    noise,
    tar_of,
)
from tests.unit.images.registry.registry_layers import changesets, layer_of

# --- wrong bytes ---


def test_wrong_digest(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    for changed in (layer[:-1] + b"\1", layer_of(7)[: len(layer)].ljust(len(layer), b"\0")):
        registry.blobs[digest_of(layer)] = changed
        with pytest.raises(RegistryError, match="do not match the digest of layer 0"):
            changesets(reader)
    registry.blobs[digest_of(layer)] = layer + b"more"
    assert len(changesets(reader)) == 1  # what is behind its size is no part of the blob


def test_garbled_on_the_way(registry: FakeRegistry) -> None:
    """Data that cannot be decompressed is reported as damaged, which is the cause."""
    layer = layer_of()
    registry.image([layer])
    reader = registry.reader()
    registry.blobs[digest_of(layer)] = layer[:1000] + bytes(5000) + layer[6000:]
    with pytest.raises(RegistryError, match="do not match the digest"):
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
        b"".join(filled(reader.content(0, found, found.paths().index(b"d/noise"))))


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
    with pytest.raises(RegistryError, match="unsupported digest"):
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
    reader = registry.reader()
    assert len(changesets(reader)[0]) == 0
    assert "foreign" in reader.image.layers[0].missing


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


def cancelled_after(reader: RegistryReader, after: threading.Event) -> None:
    """Cancels once an event has come; what is waited for takes a minute or longer."""
    progress = Progress()
    errors: list[BaseException] = []

    def read() -> None:
        try:
            changesets(reader, progress)
        except LayerscopeError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert after.wait(60)
    time.sleep(0.05)
    progress.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [Cancelled]


def test_cancelled_while_the_registry_is_silent(registry: FakeRegistry) -> None:
    layer = layer_of()
    registry.image([layer])
    slow = Slowly(1000)
    registry.when(digest_of(layer), slow)
    try:
        cancelled_after(registry.reader(patience=Patience(read=600)), slow.reached)
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
    cancelled_after(registry.reader(patience=Patience()), asked)


def test_a_reader_that_is_left_early_ends_the_transfers(registry: FakeRegistry) -> None:
    layers = [layer_of(n) for n in range(4)]
    registry.image(layers)
    slow = Slowly(1000)
    registry.when(digest_of(layers[3]), slow)
    reader = registry.reader(patience=Patience(read=600))
    found = reader.changesets(Progress(), ())
    next(found)
    found.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 60
    while any(t.name.startswith("layer ") for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    slow.go.set()
