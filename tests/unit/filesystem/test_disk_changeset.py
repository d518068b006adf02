"""The walk of a layer's folder, on folders made for it. Most of them only root can make."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import layerscope.filesystem.disk_walk as disk_walk
from layerscope.errors import BadInputError, Cancelled
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.disk_changeset import read_folder
from layerscope.filesystem.disk_walk import open_below, open_folder
from layerscope.images.pieces import Hole, filled
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.stores.folder_layer import FolderLayer

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="ONLY ROOT can make device nodes and trusted attributes"
)


def walk(
    top: Path, *, live: bool = False, advance: Callable[[int], None] | None = None
) -> Changeset:
    fd = open_folder(str(top))
    try:
        return read_folder(fd, str(top), live=live, advance=advance)
    finally:
        os.close(fd)


def kinds(changeset: Changeset) -> list[tuple[bytes, str]]:
    labels = [EntryType(kind).label for kind in changeset.kinds.tolist()]
    return list(zip(changeset.paths(), labels, strict=True))


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


def attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            pytest.skip(f"NO EXTENDED ATTRIBUTES of this kind here: {name}")
        raise


def test_an_empty_folder(tmp_path: Path) -> None:
    assert len(walk(tmp_path)) == 0


def test_metadata(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "f").chmod(0o4751)
    os.utime(tmp_path / "f", ns=(0, 1_234_567_890_999_999_999))
    (tmp_path / "d").mkdir(0o1777)
    (tmp_path / "d").chmod(0o1777)
    os.utime(tmp_path / "d", ns=(0, -1_500_000_000))
    (tmp_path / "s").symlink_to("a target")
    os.mkfifo(tmp_path / "p")
    found = walk(tmp_path)
    assert kinds(found) == [(b"d", "dir"), (b"f", "file"), (b"p", "fifo"), (b"s", "symlink")]
    assert found.modes.tolist()[:2] == [0o1777, 0o4751]
    assert found.sizes.tolist() == [0, 5, 0, 0]
    assert found.mtimes.tolist()[:2] == [-2, 1_234_567_890]
    assert found.links == {3: b"a target"}
    assert found.uids.tolist() == [os.geteuid()] * 4
    assert found.data_offsets.tolist() == [-1] * 4


def test_order_and_names(tmp_path: Path) -> None:
    top = os.fsencode(tmp_path)
    for name in (b"a", b"a/z", b"a-b", b"\xff\xfe", b"new\nline", "grüße".encode(), b"b"):
        Path(os.fsdecode(top + b"/" + name)).mkdir()
    Path(tmp_path / "a" / "b").write_bytes(b"")
    found = walk(tmp_path)
    assert found.paths() == [
        *(b"a", b"a/b", b"a/z", b"a-b", b"b", "grüße".encode(), b"new\nline", b"\xff\xfe")
    ]


def test_many_in_one_folder_and_many_folders(tmp_path: Path) -> None:
    for number in range(2500):
        (tmp_path / f"f{number:04}").write_bytes(b"x" * (number % 7))
    for number in range(60):
        folder = tmp_path / f"d{number:02}"
        folder.mkdir()
        for inner in range(50):
            (folder / f"{inner:02}").write_bytes(b"y" * number)
    found = walk(tmp_path)
    assert found.paths() == sorted(found.paths())
    sizes = dict(zip(found.paths(), found.sizes.tolist(), strict=True))
    assert len(sizes) == 2500 + 60 * 51
    assert all(sizes[b"f%04d" % number] == number % 7 for number in range(2500))
    assert all(sizes[b"d%02d/07" % number] == number for number in range(60))


@needs_root
def test_whiteouts_and_devices(tmp_path: Path) -> None:
    whiteout(tmp_path / "gone")
    os.link(tmp_path / "gone", tmp_path / "gone-too")  # as the kernel shares them
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tmp_path / "zero-block", stat.S_IFBLK | 0o600, 0)
    os.mknod(tmp_path / "large", stat.S_IFBLK, os.makedev(300, 70_000))
    found = walk(tmp_path)
    assert kinds(found) == [
        *((b"gone", "whiteout"), (b"gone-too", "whiteout"), (b"large", "block")),
        *((b"null", "char"), (b"zero-block", "block")),
    ]
    assert found.devices == {2: (300, 70_000), 3: (1, 3), 4: (0, 0)}


@needs_root
def test_opaque_folders(tmp_path: Path) -> None:
    for name in ("a", "b", "b/c", "d"):
        (tmp_path / name).mkdir()
    (tmp_path / "b" / "c" / "f").write_bytes(b"")
    attribute(tmp_path / "b", "trusted.overlay.opaque", b"y")
    attribute(tmp_path / "b" / "c", "user.overlay.opaque", b"y")
    attribute(tmp_path / "d", "trusted.overlay.opaque", b"x")  # other marks are below it
    (tmp_path / "e").symlink_to("b")
    found = walk(tmp_path)
    assert kinds(found) == [
        *((b"a", "dir"), (b"b", "dir"), (b"b", "opaque"), (b"b/c", "dir"), (b"b/c", "opaque")),
        *((b"b/c/f", "file"), (b"d", "dir"), (b"e", "symlink")),
    ]
    assert found.links == {7: b"b"}
    assert found.xattrs == {}
    attribute(tmp_path, "trusted.overlay.opaque", b"y")
    found = walk(tmp_path)
    assert kinds(found)[:2] == [(b"", "opaque"), (b"a", "dir")]
    assert found.links == {8: b"b"}
    empty = tmp_path / "a"
    attribute(empty, "trusted.overlay.opaque", b"y")
    assert kinds(walk(empty)) == [(b"", "opaque")]


@needs_root
def test_whiteouts_that_are_attributes(tmp_path: Path) -> None:
    (tmp_path / "gone").write_bytes(b"")
    attribute(tmp_path / "gone", "trusted.overlay.whiteout", b"")
    assert kinds(walk(tmp_path)) == [(b"gone", "whiteout")]


@needs_root
@pytest.mark.parametrize("name", ["metacopy", "redirect"])
def test_files_that_are_not_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"")
    attribute(tmp_path / "d" / "f", f"trusted.overlay.{name}", b"/elsewhere")
    with pytest.raises(BadInputError, match="elsewhere") as raised:
        walk(tmp_path)
    assert raised.value.file == f"{tmp_path}/d/f"


@needs_root
def test_attributes(tmp_path: Path) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"")
    attribute(tmp_path / "d" / "f", "security.capability", capability)
    attribute(tmp_path / "d" / "f", "user.one", b"1")
    attribute(tmp_path / "d" / "f", "user.\xff".encode("latin-1").decode("latin-1"), b"\0\xff")
    attribute(tmp_path / "d" / "f", "trusted.other", b"not a layer's")
    attribute(tmp_path / "d", "user.two", b"2" * 3000)
    found = walk(tmp_path)
    assert found.xattrs == {
        0: {b"user.two": b"2" * 3000},
        1: {b"security.capability": capability, b"user.one": b"1", "user.ÿ".encode(): b"\0\xff"},
    }


def test_hard_links(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"one inode")
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "c").hardlink_to(tmp_path / "b")
    (tmp_path / "a-folder" / "x").hardlink_to(tmp_path / "b")
    (tmp_path / "elsewhere").write_bytes(b"has its other name outside")
    layer = tmp_path / "layer"
    layer.mkdir()
    for name in ("b", "a-folder", "c"):
        (tmp_path / name).rename(layer / name)
    (layer / "alone").hardlink_to(tmp_path / "elsewhere")
    found = walk(layer)
    assert kinds(found) == [
        *((b"a-folder", "dir"), (b"a-folder/x", "file"), (b"alone", "file")),
        *((b"b", "hardlink"), (b"c", "hardlink")),
    ]
    assert found.links == {3: b"a-folder/x", 4: b"a-folder/x"}
    assert found.size == 9 + 26


def test_sockets_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "z").symlink_to("a")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
    found = walk(tmp_path)
    assert kinds(found) == [(b"a", "file"), (b"z", "symlink")]
    assert found.links == {1: b"a"}


def test_sparse_and_large_files(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)
    assert walk(tmp_path).sizes.tolist() == [1 << 40]


def test_nested_too_deeply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_walk, "MAX_DEPTH", 20)
    (tmp_path / "/".join("d" * 30)).mkdir(parents=True)
    with pytest.raises(BadInputError, match="nested too deeply"):
        walk(tmp_path)
    monkeypatch.setattr(disk_walk, "MAX_DEPTH", 40)
    assert len(walk(tmp_path)) == 30


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    before = descriptors()
    walk(tmp_path)

    def stop(_: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        walk(tmp_path, advance=stop)
    assert descriptors() == before


def test_where_the_current_folder_cannot_be_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"")
    attribute(tmp_path / "d" / "f", "user.a", b"1")
    here = Path.cwd()
    one = walk(tmp_path)
    assert Path.cwd() == here
    monkeypatch.setattr(disk_walk, "_unshare", lambda _: -1)
    other = walk(tmp_path)
    assert Path.cwd() == here
    assert (one.paths(), one.xattrs) == (other.paths(), other.xattrs)
    assert one.xattrs == {1: {b"user.a": b"1"}}


def test_what_goes_while_it_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 3)
    listed = os.listdir

    def stale(path: bytes | int) -> list[bytes]:
        return [*listed(path), b"bb", b"gone"]

    monkeypatch.setattr(os, "listdir", stale)
    assert walk(tmp_path, live=True).paths() == [b"a", b"b", b"c"]
    assert walk(tmp_path, live=True).sizes.tolist() == [3, 3, 3]
    with pytest.raises(BadInputError, match="No such file"):
        walk(tmp_path)


def test_content_is_not_read_through_a_symlink(tmp_path: Path) -> None:
    layer = tmp_path / "root" / "layer"
    (layer / "d").mkdir(parents=True)
    (layer / "d" / "f").write_bytes(b"right")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"wrong")
    with_root = DataFolder(tmp_path / "root")
    place = FolderLayer(with_root, "layer")
    found = place.changeset()
    assert b"".join(filled(place.content(found, 1))) == b"right"
    (layer / "d").rename(layer / "e")
    (layer / "d").symlink_to(tmp_path / "d")
    with pytest.raises(BadInputError, match="d/f: it cannot be read"):
        b"".join(filled(place.content(found, 1)))
    (layer / "d").unlink()
    (layer / "d").mkdir()
    for make in (lambda p: p.symlink_to(tmp_path / "d" / "f"), os.mkfifo):
        make(layer / "d" / "f")
        with pytest.raises(BadInputError):
            b"".join(filled(place.content(found, 1)))
        (layer / "d" / "f").unlink()
    (layer / "d" / "f").write_bytes(b"another length")
    with pytest.raises(BadInputError, match="its size is 14 bytes"):
        b"".join(filled(place.content(found, 1)))
    with_root.close()


def test_a_data_folder_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to("/etc")
    (tmp_path / "in" / "file").symlink_to("/etc/passwd")
    folder = DataFolder(tmp_path / "in")
    for path in ("link/passwd", "file"):
        with pytest.raises(DataFolderError):
            folder.read(path)
    with pytest.raises(DataFolderError):
        folder.list("link")
    assert folder.list("missing") == []
    (tmp_path / "in" / "long").write_bytes(b"x" * 100)
    assert len(folder.read("long", 100)) == 100
    with pytest.raises(BadInputError, match="too large"):
        folder.read("long", 99)
    folder.close()
    folder.close()


def test_open_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x")
    top = open_folder(str(tmp_path))
    os.close(open_below(top, b"a/f"))
    for path in (b"a", b"a/f/g", b"b/f", b""):
        with pytest.raises(OSError, match=r"."):
            open_below(top, path)
    os.close(top)


def test_holes_of_what_an_engine_unpacked_are_kept(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.mkdir()
    with (layer / "holes").open("wb") as file:
        file.seek(1 << 40)
        file.write(b"end")
        file.truncate((1 << 40) + (1 << 30))
    with closing(DataFolder(tmp_path)) as root:
        place = FolderLayer(root, "layer")
        found = place.changeset()
        pieces = list(place.content(found, 0))
        with closing(place.located(found, 0)) as content:
            assert content.stored < 1 << 20
    stored = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert stored.rstrip(b"\0") == b"end"
    holes = sum(piece.size for piece in pieces if isinstance(piece, Hole))
    assert holes + len(stored) == (1 << 40) + (1 << 30)
