"""Layers with a table of contents: listed by ranges alone, and the same as when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.images.registry.reader import RegistryReader
from layerscope.oci.byte_source import Stream
from layerscope.oci.toc import TocError, chunked_place, parse_toc, stargz_toc_offset
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Handler,
    cut_after,
    fake_registry,
    sent_in_all,
)
from tests.unit.images.registry.toc_layers import (
    CHUNKED,
    Item,
    TocLayer,
    estargz,
    everything,
    zstd_chunked,
)

WRITERS: dict[str, Callable[..., TocLayer]] = {"eStargz": estargz, "zstd:chunked": zstd_chunked}


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest) -> Callable[..., TocLayer]:
    return WRITERS[request.param]


def rows_of(changeset: Changeset) -> list[tuple[Any, ...]]:
    """All that a changeset says, but where its entries are in a tar."""
    digests = changeset.digests
    return sorted(
        (
            path,
            EntryType(int(changeset.kinds[row])).label,
            oct(int(changeset.modes[row])),
            int(changeset.uids[row]),
            int(changeset.gids[row]),
            int(changeset.sizes[row]),
            int(changeset.mtimes[row]),
            changeset.links.get(row),
            changeset.devices.get(row),
            changeset.xattrs.get(row),
            None if digests is None else digests[row].tobytes().hex(),
        )
        for row, path in enumerate(changeset.paths())
    )


def read_plain(layer: TocLayer) -> Changeset:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        piece = layer.plain[position : position + size]
        position += len(piece)
        return piece

    return read_changeset(Stream(read, digest=True))


def opened(registry: FakeRegistry, layer: TocLayer, name: str = "one") -> RegistryReader:
    registry.image([layer.stored], name, annotations=[layer.annotations], plain=[layer.plain])
    return registry.reader(f"app:{name}")


def only_layer(reader: RegistryReader) -> Changeset:
    ((_, changeset),) = reader.changesets(Progress(), ())
    return changeset


def content(reader: RegistryReader, changeset: Changeset, path: bytes) -> bytes:
    return b"".join(filled(reader.content(0, changeset, changeset.paths().index(path))))


def layer_requests(registry: FakeRegistry, layer: TocLayer) -> list[Any]:
    digest = hashlib.sha256(layer.stored).hexdigest()
    return [asked for asked in registry.asked if digest in asked.path]


def test_listed_by_ranges_alone(registry: FakeRegistry, write: Callable[..., TocLayer]) -> None:
    layer = write(everything())
    reader = opened(registry, layer)
    changeset = only_layer(reader)
    assert rows_of(changeset) == rows_of(read_plain(layer))
    requests = layer_requests(registry, layer)
    assert len(requests) == 1
    assert all(asked.range for asked in requests)
    assert sent_in_all(requests) < len(layer.stored) / 4
    assert reader.way == "registry, 1 of 1 layers by their table of contents"
    assert not reader.verified


def test_content_by_ranges(registry: FakeRegistry, write: Callable[..., TocLayer]) -> None:
    layer = write(everything())
    reader = opened(registry, layer)
    changeset = only_layer(reader)
    for item in everything():
        if item.content:
            registry.asked.clear()
            assert content(reader, changeset, item.name.encode()) == item.content
            requests = layer_requests(registry, layer)
            assert all(asked.range for asked in requests)
            if len(item.content) < 1000:
                assert sent_in_all(requests) < len(layer.stored) / 3
    assert content(reader, changeset, b"bin/empty") == b""


def test_content_goes_on_where_a_connection_broke(
    registry: FakeRegistry, write: Callable[..., TocLayer]
) -> None:
    layer = write(everything())
    reader = opened(registry, layer)
    changeset = only_layer(reader)
    registry.when("blobs", cut_after(30_000), times=4)
    assert content(reader, changeset, b"bin/large") == everything()[5].content


def test_holes() -> None:
    item = Item("sparse", b"a" * 100 + bytes(300) + b"b" * 50)
    layer = zstd_chunked([item, Item("rest", b"r" * 200_000)], chunk=100)
    with fake_registry() as registry:
        reader = opened(registry, TocLayer(layer.stored, layer.plain, layer.annotations))
        assert content(reader, only_layer(reader), b"sparse") == item.content


def test_a_large_table_takes_two_requests(registry: FakeRegistry) -> None:
    items = [Item(f"file-{n:05}", b"%d" % n, mtime=n) for n in range(3000)]
    items.insert(7, everything(200_000)[5])
    layer = estargz(items)
    reader = opened(registry, layer)
    assert rows_of(only_layer(reader)) == rows_of(read_plain(layer))
    assert len(layer_requests(registry, layer)) == 2
    assert reader.way != "registry"


def test_the_footer_of_stargz(registry: FakeRegistry) -> None:
    layer = estargz(everything(), legacy=True)
    reader = opened(registry, layer)
    assert rows_of(only_layer(reader)) == rows_of(read_plain(layer))
    assert reader.way != "registry"


def _set(key: str, value: object, row: int = 1) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        document["entries"][row][key] = value

    return change


def _nested(document: Any) -> None:
    document["entries"][1]["other"] = {"type": "reg", "name": "hidden"}


CHANGES: dict[str, Callable[[Any], None]] = {
    "version": lambda document: document.update(version=2),
    "no entries": lambda document: document.update(entries=7),
    "unknown type": _set("type", "door"),
    "not UTF-8": _set("name", "etc/pass\ufffdwd"),
    "NUL": _set("name", "etc/pass\0wd"),
    "surrogate": _set("name", "etc/pass\ud800wd"),
    "negative size": _set("size", -1),
    "huge size": _set("size", 1 << 70),
    "text as size": _set("size", "12"),
    "truth as uid": _set("uid", True),
    "bad time": _set("modtime", "yesterday"),
    "time without zone": _set("modtime", "2020-01-01T00:00:00"),
    "bad xattrs": _set("xattrs", {"user.a": "?"}),
    "xattrs as list": _set("xattrs", ["a"]),
    "bad digest": _set("digest", "sha256:12"),
    "a link to nowhere": _set("linkName", None, 3),
    "out of the layer": _set("name", "../../x"),
    "an entry in an entry": _nested,
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_odd_is_read_whole(registry: FakeRegistry, name: str) -> None:
    for write in WRITERS.values():
        layer = write(everything(), change=CHANGES[name])
        reader = opened(registry, layer, write.__name__)
        assert rows_of(only_layer(reader)) == rows_of(read_plain(layer))
        assert reader.way == "registry"
        assert reader.verified == {0}


def test_other_annotations(registry: FakeRegistry) -> None:
    gz, zs = estargz(everything()), zstd_chunked(everything())
    wrong = "sha256:" + "0" * 64
    position = zs.annotations[f"{CHUNKED}manifest-position"]
    offset, *rest = position.split(":")
    cases = {
        "gz": (gz, dict.fromkeys(gz.annotations, wrong)),
        "zs": (zs, {**zs.annotations, f"{CHUNKED}manifest-checksum": wrong}),
        "far": (zs, {**zs.annotations, f"{CHUNKED}manifest-position": "99999999:5:5:1"}),
        "kind": (zs, {**zs.annotations, f"{CHUNKED}manifest-position": position[:-1] + "9"}),
        "text": (zs, {**zs.annotations, f"{CHUNKED}manifest-position": "a:b:c:d"}),
        "shift": (
            zs,
            {
                **zs.annotations,
                f"{CHUNKED}manifest-position": ":".join([str(int(offset) - 1), *rest]),
            },
        ),
        "none": (gz, {}),
    }
    for name, (layer, notes) in cases.items():
        reader = opened(registry, TocLayer(layer.stored, layer.plain, notes), name)
        assert rows_of(only_layer(reader)) == rows_of(read_plain(layer)), name
        assert reader.way == "registry", name


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 405, 416, 500, 501])
def test_a_registry_without_ranges(
    registry: FakeRegistry, write: Callable[..., TocLayer], status: int
) -> None:
    registry.ranges = False

    def refuse(handler: Handler) -> bool:
        if status == 200 or not handler.headers.get("Range"):
            return False
        handler.reply(status)
        return True

    registry.when("blobs", refuse)
    layer = write(everything())
    reader = opened(registry, layer)
    changeset = only_layer(reader)
    assert rows_of(changeset) == rows_of(read_plain(layer))
    assert reader.way == "registry"
    assert content(reader, changeset, b"etc/passwd") == b"root:x:0:0\n"


def test_content_where_the_chunks_lie(
    registry: FakeRegistry, write: Callable[..., TocLayer]
) -> None:
    """A table that lists truly and points wrongly: the layer itself is read."""

    def change(document: Any) -> None:
        for entry in document["entries"]:
            if entry["name"] == "later":
                entry["offset"] = 0
            if entry["name"] == "bin/large" and entry["type"] == "chunk":
                entry["chunkOffset"] += 1

    layer = write(everything(), change=change)
    reader = opened(registry, layer)
    changeset = only_layer(reader)
    assert reader.way != "registry"
    assert content(reader, changeset, b"later") == b"the last one\n"
    assert content(reader, changeset, b"bin/large") == everything()[5].content


def test_the_table_itself_can_be_read(registry: FakeRegistry) -> None:
    layer = estargz(everything())
    reader = opened(registry, layer)
    changeset = only_layer(reader)
    table = content(reader, changeset, b"stargz.index.json")
    assert hashlib.sha256(table).hexdigest() in layer.annotations.popitem()[1]


def test_small_layers_are_read_whole(
    registry: FakeRegistry, write: Callable[..., TocLayer]
) -> None:
    layer = write(everything(1000))
    reader = opened(registry, layer)
    assert rows_of(only_layer(reader)) == rows_of(read_plain(layer))
    assert (reader.way, reader.verified) == ("registry", {0})


def test_where_the_cache_keeps_them(registry: FakeRegistry, write: Callable[..., TocLayer]) -> None:
    layer = write(everything())
    reader = opened(registry, layer)
    key = reader.cache_key(0)
    assert key is not None
    assert hashlib.sha256(layer.stored).hexdigest() in key
    bare = opened(registry, TocLayer(layer.stored, layer.plain, {}), "bare")
    assert bare.cache_key(0) not in (None, key)


def test_footers() -> None:
    layer = estargz([Item("a", b"b")])
    offset = stargz_toc_offset(layer.stored)
    assert offset is not None
    assert layer.stored[offset:].startswith(b"\x1f\x8b")
    assert stargz_toc_offset(layer.stored[:-1]) is None
    assert stargz_toc_offset(b"") is None
    assert stargz_toc_offset(layer.stored.replace(b"STARGZ", b"starGZ")) is None
    assert chunked_place({}, 10) is None


def test_a_table_that_is_none() -> None:
    for data in (b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"version": 1}', b"9" * 10_000):
        with pytest.raises(TocError):
            parse_toc(data)
    assert len(parse_toc(b'{"version": 1, "entries": []}').columns.names) == 0


def test_times() -> None:
    def seconds(text: str) -> int:
        entry = f'{{"type": "dir", "name": "a", "modtime": "{text}"}}'
        data = f'{{"version": 1, "entries": [{entry}]}}'
        return int(parse_toc(data.encode()).columns.mtimes[0])

    assert seconds("2020-09-13T12:26:40Z") == 1_600_000_000
    assert seconds("2020-09-13T12:26:40.999999999Z") == 1_600_000_000
    assert seconds("2020-09-13T14:26:40+02:00") == 1_600_000_000
    assert seconds("1969-12-31T23:59:58.5Z") == -2
    assert seconds("0001-01-01T00:00:00Z") == 0
    assert np.dtype(np.int64) == parse_toc(b'{"version": 1, "entries": []}').columns.mtimes.dtype
