"""Random access to the content of files, in layers that can seek and in streams."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import BadInputError, Cancelled, LayerscopeError, UsageError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.answers import HistoryAnswer, Inspected
from layerscope.images.archives.engine_export import EngineExportReader
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.files.contents import Content, Contents
from layerscope.images.files.spool import IN_MEMORY, Spool
from layerscope.images.loading import load
from layerscope.images.pieces import Hole
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known
from layerscope.records import lenient
from tests import archives
from tests.archives import docker_archive, row_of, saved

DATA = bytes(range(256)) * 9000
Open = Callable[..., tuple[Contents, Stack]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[Contents] = []

    def make(*layers: bytes, compress: bool = False) -> tuple[Contents, Stack]:
        stored = [gzip.compress(layer, 1) if compress else layer for layer in layers]
        path = tmp_path / f"{len(made)}.tar"
        path.write_bytes(saved(*stored))
        reader = open_image(str(path), Progress())
        contents = Contents(reader)
        made.append(contents)
        return contents, load(reader, Progress()).stack

    yield make
    for contents in made:
        contents.close()


LAYER = archives.layer(
    "etc/", ("etc/data", DATA), ("etc/same", "link", "etc/data"), ("etc/sym", "symlink", "data")
)


@pytest.mark.parametrize("path", [b"etc/data", b"etc/same"])
@pytest.mark.parametrize("compress", [False, True])
def test_any_range_can_be_read(opened: Open, compress: bool, path: bytes) -> None:
    contents, stack = opened(LAYER, compress=compress)
    content = contents.open(stack, row_of(stack, path))
    assert content.size == len(DATA)
    assert content.available == (0 if compress else len(DATA))
    for offset, length in [(0, 10), (300_001, 5), (7, 1), (len(DATA) - 3, 10), (len(DATA), 9)]:
        assert content.read(offset, length) == DATA[offset : offset + length]
    assert content.available == len(DATA)
    content.close()


def test_a_stream_is_read_no_further_than_need_be(opened: Open) -> None:
    contents, stack = opened(LAYER, compress=True)
    content = contents.open(stack, row_of(stack, b"etc/data"))
    content.read(0, 10)
    assert 10 <= content.available < len(DATA)
    reported: list[int] = []
    content.read(0, len(DATA), reported.append)
    assert content.available == reported[-1] == len(DATA)


def test_read_all_stops_at_the_limit(opened: Open) -> None:
    for compress in (False, True):
        contents, stack = opened(LAYER, compress=compress)
        row = row_of(stack, b"etc/data")
        assert contents.read_all(stack, row, 1000) == DATA[:1000]
        assert contents.read_all(stack, row, 1 << 30) == DATA


def test_what_has_no_content_says_so(opened: Open) -> None:
    contents, stack = opened(LAYER)
    for path, kind in ((b"etc", "folder"), (b"etc/sym", "symbolic link")):
        with pytest.raises(UsageError, match=f"A {kind} has no content"):
            contents.open(stack, row_of(stack, path))


def test_holes_of_a_sparse_file_are_zeros(tmp_path: Path) -> None:
    import subprocess

    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"middle")
        file.seek(5 << 20)
        file.write(b"end")
    command = ["tar", "--sparse", "--format=gnu", "-C", str(folder), "-cf", "-", "sparse"]
    layer = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(layer) < 1 << 20
    for stored in (layer, gzip.compress(layer)):
        path = tmp_path / "image.tar"
        path.write_bytes(saved(stored))
        reader = open_image(str(path), Progress())
        contents = Contents(reader)
        stack = load(reader, Progress()).stack
        content = contents.open(stack, row_of(stack, b"sparse"))
        assert content.read((1 << 20) - 3, 12) == b"\0\0\0middle\0\0\0"
        assert content.read((5 << 20) - 1, 12) == b"\0end"
        assert content.read(0, 8) == bytes(8)
        whole = (folder / "sparse").read_bytes()
        assert content.read(0, content.size) == whole
        contents.close()


def test_reading_can_be_stopped(opened: Open) -> None:
    contents, stack = opened(LAYER, compress=True)
    content = contents.open(stack, row_of(stack, b"etc/data"))

    def stop(_: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        content.read(0, 1, stop)
    # It is still good for going on.
    assert content.read(5, 3) == DATA[5:8]
    content.close()
    with pytest.raises(Cancelled):
        content.read(len(DATA) - 1, 1)


@pytest.mark.parametrize("compress", [False, True])
def test_nothing_is_read_once_the_image_is_closed(opened: Open, compress: bool) -> None:
    contents, stack = opened(LAYER, compress=compress)
    content = contents.open(stack, row_of(stack, b"etc/data"))
    contents.close()
    with pytest.raises(Cancelled):
        contents.open(stack, row_of(stack, b"etc/data"))
    if compress:
        with pytest.raises(Cancelled):
            content.read(0, 1)
    else:
        # It has the file open for itself.
        assert content.read(0, 2) == DATA[:2]
        content.close()
        with pytest.raises(Cancelled):
            content.read(0, 1)


class _Slow(ImageReader):
    """A reader that stands still in mid-piece."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.closed = 0

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        return iter(())

    def content(self, layer: int, changeset: object, row: int) -> Iterator[bytes]:
        self.entered.set()
        self.go_on.wait(60)
        assert not self.closed
        yield b"piece"

    def close(self) -> None:
        self.closed += 1


def _slow(free: threading.Event | None = None) -> tuple[_Slow, Contents, Content]:
    reader = _Slow()
    stack = archives.stack([("file", b"piece")])
    contents = Contents(reader, free)
    return reader, contents, contents.open(stack, row_of(stack, b"file"))


def close_during(work: Callable[[], object], reader: _Slow, contents: Contents) -> None:
    """Closes a reader while it works: it is closed when it is done."""
    thread = threading.Thread(target=work)
    thread.start()
    assert reader.entered.wait(60)
    contents.close()
    assert not reader.closed
    reader.go_on.set()
    thread.join(60)
    assert reader.closed


def test_a_reader_is_closed_by_the_thread_that_reads_when_it_is_done() -> None:
    reader, contents, content = _slow()
    got: list[object] = []

    def work() -> None:
        try:
            got.append(content.read(0, 5))
        except Cancelled as error:
            got.append(error)

    close_during(work, reader, contents)
    assert got == [b"piece"]


def test_a_reader_is_not_closed_while_a_file_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, contents, _ = _slow()
    stack = archives.stack([("file", b"piece")])

    def located(layer: int, changeset: Changeset, row: int) -> None:
        reader.entered.set()
        reader.go_on.wait(60)
        assert not reader.closed

    monkeypatch.setattr(reader, "located", located)
    close_during(lambda: contents.open(stack, row_of(stack, b"file")), reader, contents)
    with pytest.raises(Cancelled):
        contents.open(stack, row_of(stack, b"file"))


def test_a_stream_waits_until_the_layers_are_read() -> None:
    free = threading.Event()
    reader, _, content = _slow(free)
    reader.go_on.set()
    with pytest.raises(Cancelled):
        content.read(0, 9, _raise)
    assert not reader.entered.is_set()
    free.set()
    assert content.read(0, 9) == b"piece"


def _raise(_: int) -> None:
    raise Cancelled


def test_a_truncated_layer_is_one_clear_error(tmp_path: Path, opened: Open) -> None:
    contents, stack = opened(LAYER)
    (path,) = tmp_path.glob("*.tar")
    content = contents.open(stack, row_of(stack, b"etc/data"))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(BadInputError, match="shorter than it was"):
        content.read(0, len(DATA))


def test_a_stream_that_failed_does_not_seem_to_have_ended() -> None:
    class Broken(_Slow):
        def content(self, layer: int, changeset: object, row: int) -> Iterator[bytes]:
            yield b"pie"
            raise BadInputError("layer", 3, "it is damaged")

    stack = archives.stack([("file", b"piece")])
    contents = Contents(Broken())
    content = contents.open(stack, row_of(stack, b"file"))
    for _ in range(2):
        with pytest.raises(BadInputError, match="damaged"):
            content.read(0, 5)
    assert content.read(0, 3) == b"pie"
    assert content.size == 5


# --- the spool ---


def test_what_is_large_goes_to_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    spool = Spool()
    data = os.urandom(IN_MEMORY)
    spool.append(data)
    spool.append(Hole(4 << 20))
    spool.append(b"end")
    assert spool.read(0, 20) == data[:20]
    assert spool.read(IN_MEMORY - 2, 4) == data[-2:] + b"\0\0"
    assert spool.read(spool.size - 5, 99) == b"\0\0end"
    assert list(tmp_path.iterdir()) == []
    assert spool._file is not None
    # Holes take no room.
    assert os.fstat(spool._file.fileno()).st_blocks * 512 < 2 << 20
    spool.close()
    with pytest.raises(Cancelled):
        spool.read(0, 1)
    with pytest.raises(Cancelled):
        spool.append(b"x")


def test_a_full_disk_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = Spool()
    spool.append(b"x" * IN_MEMORY)
    monkeypatch.setattr("layerscope.images.files.spool.write_all", full)
    with pytest.raises(LayerscopeError, match=r"is full after 1.05MB of the file. Set TMPDIR"):
        spool.append(b"more")
    assert spool._file is None


class _Engine:
    """An engine with one image."""

    name = "Engine"

    def __init__(self, data: bytes, inspected: dict[str, Any]) -> None:
        self._data, self._inspected = data, inspected

    def inspect(self, name: str, platform: object = None) -> Inspected:
        return lenient(self._inspected, Inspected)

    def history(self, name: str, platform: object = None) -> list[HistoryAnswer]:
        return []

    def export(
        self, name: str, platform: object = None
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]:
        return io.BytesIO(self._data).read, lambda: None

    def close(self) -> None:
        return


def test_an_image_whose_layers_are_all_known_is_exported_for_its_content(tmp_path: Path) -> None:
    diff_id = "sha256:" + hashlib.sha256(LAYER).hexdigest()
    inspected = {"Id": "sha256:" + "1" * 64, "RootFS": {"Layers": [diff_id]}, "RepoTags": ["app:1"]}
    cache = ChangesetCache(tmp_path)
    for _ in range(2):
        reader = EngineExportReader(_Engine(saved(LAYER), inspected), "app:1", "docker-daemon:app")
        stack = load(reader, Progress(), cache=cache).stack
        contents = Contents(reader)
        assert contents.read_all(stack, row_of(stack, b"etc/data"), 1 << 30) == DATA
        contents.close()
    assert cache.get(diff_id) is not None


def test_an_old_docker_archive_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive([LAYER]))
    reader: ImageReader = open_image(str(path), Progress())
    contents = Contents(reader)
    stack = load(reader, Progress()).stack
    assert contents.read_all(stack, row_of(stack, b"etc/data"), 1 << 30) == DATA
    contents.close()
