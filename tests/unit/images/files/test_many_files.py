"""Many files of a layer in one pass: the same bytes as one by one, each layer opened but once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from layerscope.engines.resolve import open_image
from layerscope.errors import BadInputError, Cancelled
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images import layer_stream as layer_bytes
from layerscope.images.answers import HistoryAnswer, Inspected, RootFs
from layerscope.images.archives.compressed import CompressedArchiveReader
from layerscope.images.archives.engine_export import EngineExportReader
from layerscope.images.files.contents import Contents
from layerscope.images.files.digests import file_digests, settle
from layerscope.images.files.version_diff import Side, same_contents
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Wanted
from layerscope.images.stores.data_folder import DataFolder
from layerscope.images.stores.folder_layer import FolderLayer, FolderReader
from layerscope.oci.manifest import OCI_MANIFEST
from tests.archives import entry, layer, pax, row_of, saved
from tests.unit.images.platform_layouts import Layout
from tests.unit.images.registry.misbehaving_registry import FakeRegistry, digest_of

Pack = Callable[[bytes], bytes]

#: More than is handed out at a time, and what does not compress.
LARGE = os.urandom(3 << 20)

#: A hole between two pieces.
SPARSE = pax({b"GNU.sparse.size": b"9", b"GNU.sparse.map": b"0,1,7,2"})

ONE = layer(
    ("z", b"last by name"),
    ("large", LARGE),
    ("empty", b""),
    *((f"f{n}", b"%d" % n) for n in range(20)),
)
OTHER = SPARSE + entry(b"sparse", b"abc") + layer(("a", b"a"), ("z", b"last by namE"))
LAYERS = (ONE, OTHER)


def _layout(pack: Pack) -> bytes:
    made = Layout()
    stored = [made.add(pack(each), "application/vnd.oci.image.layer.v1.tar") for each in LAYERS]
    diff_ids = ["sha256:" + hashlib.sha256(each).hexdigest() for each in LAYERS]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "config": made.add(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": stored,
    }
    made.top(made.add(json.dumps(manifest).encode(), OCI_MANIFEST))
    return made.archive()


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def _plain(data: bytes) -> bytes:
    return data


class Exporting:
    """An engine with one image, which counts its exports."""

    name = "Engine"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.running = self.exports = 0

    def inspect(self, name: str, platform: object = None) -> Inspected:
        diff_ids = ["sha256:" + hashlib.sha256(each).hexdigest() for each in LAYERS]
        root = RootFs(tuple(diff_ids))
        return Inspected(id="sha256:" + "1" * 64, root=root, tags=("app:1",))

    def history(self, name: str, platform: object = None) -> list[HistoryAnswer]:
        return []

    def export(
        self, name: str, platform: object = None
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]:
        self.exports += 1
        self.running += 1

        def stop() -> None:
            self.running -= 1

        return io.BytesIO(self.data).read, stop

    def close(self) -> None:
        return


def _folders(tmp_path: Path) -> ImageReader:
    root = tmp_path / "root"
    for number, names in enumerate((("z", "b"), ("a", "c"))):
        (root / str(number)).mkdir(parents=True)
        for name in names:
            (root / str(number) / name).write_bytes(name.encode() * 1000)
    folder = DataFolder(root)
    image = EngineExportReader(Exporting(b""), "app", "docker-daemon:app").image
    layers = [FolderLayer(folder, str(number)) for number in range(2)]
    return FolderReader(image, layers, "folder", folder.close)


KINDS = (
    *("gzip layout", "zstd layout", "plain layout", "archive", "gzip layers", "gzip archive"),
    *("export", "registry", "folder"),
)


@pytest.fixture
def make(tmp_path: Path, registry: FakeRegistry) -> Iterator[Callable[[str], ImageReader]]:
    made: list[ImageReader] = []

    def reader_of(kind: str) -> ImageReader:
        data = {
            "gzip layout": lambda: _layout(_gzip),
            "zstd layout": lambda: _layout(zstandard.compress),
            "plain layout": lambda: _layout(_plain),
            "archive": lambda: saved(*LAYERS),
            "gzip layers": lambda: saved(*map(_gzip, LAYERS)),
            "gzip archive": lambda: _gzip(saved(*LAYERS)),
        }
        if kind == "export":
            reader: ImageReader = EngineExportReader(
                Exporting(saved(*LAYERS)), "app", "docker-daemon:app"
            )
        elif kind == "registry":
            registry.image([*map(_gzip, LAYERS)])
            reader = registry.reader()
        elif kind == "folder":
            reader = _folders(tmp_path)
        else:
            path = tmp_path / "image.tar"
            path.write_bytes(data[kind]())
            prefix = "oci-archive:" if "layout" in kind else ""
            reader = open_image(f"{prefix}{path}", Progress())
        made.append(reader)
        return reader

    yield reader_of
    for reader in made:
        reader.close()


Make = Callable[[str], ImageReader]


def _wanted(reader: ImageReader) -> Wanted:
    """All files, none where it lies."""
    found = sorted(reader.changesets(Progress(), ()))
    assert [number for number, _ in found] == [0, 1]
    return {number: (changeset, _files(changeset)[::-1]) for number, changeset in found}


def _files(changeset: Changeset) -> list[int]:
    return [row for row, kind in enumerate(changeset.kinds) if kind == EntryType.FILE]


def _undigested(wanted: Wanted) -> Stack:
    return Stack([replace(changeset, digests=None) for changeset, _ in wanted.values()])


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_those_of_single_reads(make: Make, kind: str) -> None:
    reader = make(kind)
    wanted = _wanted(reader)
    found = {
        (number, row): b"".join(filled(pieces)) for number, row, pieces in reader.contents(wanted)
    }
    assert found == {
        (number, row): b"".join(filled(reader.content(number, changeset, row)))
        for number, (changeset, rows) in wanted.items()
        for row in rows
    }
    if kind != "folder":
        assert {LARGE, b"", b"19", b"a\0\0\0\0\0\0bc"} <= set(found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_files_may_be_passed_over_or_taken_in_part(make: Make, kind: str) -> None:
    reader = make(kind)
    wanted = _wanted(reader)
    taken: dict[tuple[int, int], bytes] = {}
    for count, (number, row, pieces) in enumerate(reader.contents(wanted)):
        if count % 3 == 0:
            taken[number, row] = b"".join(filled(pieces))
        elif count % 3 == 1:
            next(pieces, None)
    assert taken == {
        (number, row): b"".join(filled(reader.content(number, wanted[number][0], row)))
        for number, row in taken
    }
    assert len(taken) == -(-sum(len(rows) for _, rows in wanted.values()) // 3)


@pytest.mark.parametrize("kind", ["gzip layout", "zstd layout", "gzip layers"])
def test_a_compressed_layer_is_opened_once(
    make: Make, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = make(kind)
    wanted = _wanted(reader)
    opened: list[str] = []
    real = layer_bytes.open_stream

    def counting(how: str, *arguments: Any, **options: Any) -> Any:
        opened.append(how)
        return real(how, *arguments, **options)

    monkeypatch.setattr("layerscope.images.layer_stream.open_stream", counting)
    stack = _undigested(wanted)
    files = [row for row in range(stack.bases[2]) if stack.types[row] == EntryType.FILE]
    found = dict(file_digests(stack, reader, files))
    assert len(found) == len(files) > 20
    assert found[row_of(stack, b"large")] == hashlib.sha256(LARGE).digest()
    assert len(opened) == 2


def test_an_archive_and_an_export_are_gone_through_once_for_all_layers(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Exporting(saved(*map(_gzip, LAYERS)))
    reader = EngineExportReader(engine, "app", "docker-daemon:app")
    wanted = _wanted(reader)
    engine.exports = 0
    assert sum(1 for _, _, pieces in reader.contents(wanted) if b"".join(filled(pieces))) > 20
    assert (engine.exports, engine.running) == (1, 0)

    archive = make("gzip archive")
    assert isinstance(archive, CompressedArchiveReader)
    wanted = _wanted(archive)
    opened: list[int] = []
    real = archive._archive.reopen

    def counting() -> Any:
        opened.append(1)
        return real()

    monkeypatch.setattr(archive._archive, "reopen", counting)
    assert sum(len(b"".join(filled(pieces))) for _, _, pieces in archive.contents(wanted)) > len(
        LARGE
    )
    assert len(opened) == 1


def test_equal_layers_that_are_one_entry_are_both_read() -> None:
    engine = Exporting(saved(ONE, ONE))
    reader = EngineExportReader(engine, "app", "docker-daemon:app")
    wanted = _wanted(reader)
    found: list[dict[int, bytes]] = [{}, {}]
    for number, row, pieces in reader.contents(wanted):
        found[number][row] = b"".join(filled(pieces))
    assert found[0] == found[1]
    assert len(found[0]) == len(wanted[0][1])


def test_a_registry_sends_each_layer_once(make: Make, registry: FakeRegistry) -> None:
    reader = make("registry")
    stack = _undigested(_wanted(reader))
    registry.asked.clear()
    files = [row for row in range(stack.bases[2]) if stack.types[row] == EntryType.FILE]
    assert None not in dict(file_digests(stack, reader, files)).values()
    asked = [each.path.rpartition("/")[2] for each in registry.asked]
    assert [asked.count(digest_of(_gzip(each))) for each in LAYERS] == [1, 1]


def test_left_in_the_middle_it_lets_go() -> None:
    engine = Exporting(saved(*LAYERS))
    reader = EngineExportReader(engine, "app", "docker-daemon:app")
    stack = _undigested(_wanted(reader))
    read: list[int] = []

    def stop(done: int) -> None:
        assert engine.running == 1
        read.append(done)
        if done > 1 << 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        for _ in file_digests(stack, reader, [row_of(stack, b"large")], stop):
            pass
    assert engine.running == 0
    assert max(read) < len(LARGE)


@pytest.mark.parametrize("kind", ["gzip layout", "registry"])
def test_the_screens_stop_in_the_middle(make: Make, kind: str) -> None:
    reader = make(kind)
    stack = _undigested(_wanted(reader))
    contents = Contents(reader)

    def stop(done: int) -> None:
        if done:
            raise Cancelled

    sides = [Side(stack, stack.bases[n] + _inner(stack, n, b"z"), contents) for n in range(2)]
    with pytest.raises(Cancelled):
        [*same_contents([(sides[0], sides[1])], stop)]
    assert [*same_contents([(sides[0], sides[1])])] == [(0, False)]
    contents.close()
    with pytest.raises(Cancelled):
        [*same_contents([(sides[0], sides[1])])]


@pytest.mark.parametrize("pack", [_gzip, zstandard.compress, _plain])
def test_a_truncated_layer_is_one_clear_error(tmp_path: Path, pack: Pack) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(saved(*map(pack, LAYERS)))
    with_all = open_image(str(path), Progress())
    wanted = _wanted(with_all)
    with_all.close()
    # Layers as they were, of which the first now ends in the middle of the large file.
    path.write_bytes(saved(pack(ONE)[: len(pack(ONE)) // 2], pack(OTHER)))
    reader = open_image(str(path), Progress())
    read: set[bytes] = set()
    errors: list[BadInputError] = []
    for number, _, pieces in reader.contents(wanted):
        try:
            read.add(b"".join(filled(pieces)))
        except BadInputError as error:
            assert number == 0
            errors.append(error)
    # What lies before is read, and the other layer.
    assert {b"last by name", b"a", b"last by namE"} <= read
    assert len(errors) == 21
    assert len({id(error) for error in errors}) == 1
    assert "truncated" in str(errors[0]) or "ends too early" in str(errors[0])
    # What needs it is not known; what does not is.
    stack = _undigested(wanted)
    found = dict(file_digests(stack, reader, range(stack.bases[2])))
    assert found[row_of(stack, b"a")] == hashlib.sha256(b"a").digest()
    assert found[row_of(stack, b"large")] is None
    reader.close()


def test_an_export_that_breaks_off_loses_what_had_to_come() -> None:
    engine = Exporting(saved(*LAYERS))
    reader = EngineExportReader(engine, "app", "docker-daemon:app")
    wanted = _wanted(reader)
    engine.data = engine.data[: len(engine.data) // 2]
    errors: list[str] = []
    for _, _, pieces in reader.contents(wanted):
        try:
            b"".join(filled(pieces))
        except BadInputError as error:
            errors.append(str(error))
    assert errors
    assert len(set(errors)) <= 2
    assert engine.running == 0


def test_a_version_is_settled(make: Make) -> None:
    reader = make("gzip layout")
    stack = _undigested(_wanted(reader))
    row = row_of(stack, b"z")
    assert stack.unread[row]
    settle(stack, reader, [row])
    assert not stack.unread[row]


def _inner(stack: Stack, number: int, path: bytes) -> int:
    return stack.changesets[number].paths().index(path)
