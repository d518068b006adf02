"""Layers that are written read back as they were: with our own reader, and with Python's."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.layer_tar import layer_pieces
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.byte_source import Buffer

_NAMES = st.binary(min_size=1, max_size=90).map(
    lambda name: name.replace(b"\0", b"x").replace(b"/", b"y")
)
_PATHS = (
    st.lists(_NAMES, min_size=1, max_size=5)
    .map(b"/".join)
    .filter(
        lambda path: (
            not {b".", b".."} & set(path.split(b"/"))
            and not any(part.startswith(b".wh.") for part in path.split(b"/"))
        )
    )
)
_XATTRS = st.dictionaries(
    st.sampled_from([b"security.capability", b"user.a"]), st.binary(min_size=1), max_size=2
)
#: Kinds of entries that need nothing else to be in the layer.
_KINDS = st.sampled_from([EntryType.FILE, EntryType.SYMLINK, EntryType.FIFO, EntryType.CHAR])


@st.composite
def _layers(draw: st.DrawFn) -> tuple[Changeset, dict[int, bytes]]:
    paths = sorted(draw(st.sets(_PATHS, max_size=8)), key=lambda path: path.split(b"/"))
    # A path below another one makes that a folder.
    kinds = [
        EntryType.DIR
        if any(other.startswith(path + b"/") for other in paths)
        else draw(_KINDS | st.just(EntryType.WHITEOUT))
        for path in paths
    ]
    rows = range(len(paths))
    contents = {row: draw(st.binary(max_size=1200)) for row in rows if kinds[row] == 0}
    marked = [row for row in rows if kinds[row] < EntryType.WHITEOUT]

    def numbers(most: int, least: int = 0) -> list[int]:
        drawn = [draw(st.integers(least, most)) for _ in rows]
        return [number if row in marked else 0 for row, number in enumerate(drawn)]

    # The mode of a symlink means nothing, and readers ignore it.
    links = [kind == EntryType.SYMLINK for kind in kinds]
    changeset = Changeset(
        b"\0".join(paths),
        np.array(kinds, np.uint8),
        np.where(links, 0o777, np.array(numbers(0o7777), np.uint16)).astype(np.uint16),
        np.array(numbers(1 << 33), np.int64),
        np.array(numbers(1 << 33), np.int64),
        np.array([len(contents.get(row, b"")) for row in rows], np.int64),
        np.array(numbers(1 << 40, -(1 << 20)), np.int64),
        np.zeros(len(paths), np.int64),
        np.zeros(len(paths), np.int64),
        links={row: draw(_PATHS) for row in rows if kinds[row] == EntryType.SYMLINK},
        devices={
            row: (draw(st.integers(1, 4095)), draw(st.integers(0, (1 << 20) - 1)))
            for row in rows
            if kinds[row] == EntryType.CHAR
        },
        xattrs={row: found for row in contents if (found := draw(_XATTRS))},
    )
    return changeset, contents


def _written(changeset: Changeset, contents: dict[int, bytes]) -> bytes:
    return b"".join(map(bytes, layer_pieces(changeset, lambda row: (contents[row],))))


@given(_layers())
def test_our_own_reader_finds_what_was_written(layer: tuple[Changeset, dict[int, bytes]]) -> None:
    changeset, contents = layer
    data = _written(changeset, contents)
    found = read_changeset(Buffer(data))
    assert found.path_blob == changeset.path_blob
    for column in ("kinds", "modes", "uids", "gids", "sizes", "mtimes"):
        assert getattr(found, column).tolist() == getattr(changeset, column).tolist(), column
    assert (found.links, found.devices, found.xattrs) == (
        changeset.links,
        changeset.devices,
        changeset.xattrs,
    )
    for row, content in contents.items():
        start = int(found.data_offsets[row])
        assert data[start : start + len(content)] == content
    assert _written(changeset, contents) == data


@given(_layers())
def test_pythons_reader_finds_what_was_written(layer: tuple[Changeset, dict[int, bytes]]) -> None:
    changeset, contents = layer
    with tarfile.open(fileobj=io.BytesIO(_written(changeset, contents))) as archive:
        members = archive.getmembers()
        assert len(members) == len(changeset)
        for row, (path, member) in enumerate(zip(changeset.paths(), members, strict=True)):
            if changeset.kinds[row] == EntryType.WHITEOUT:
                folder, slash, name = path.rpartition(b"/")
                path = folder + slash + b".wh." + name
            assert member.name.encode("utf-8", "surrogateescape").rstrip(b"/") == path
            assert (member.mode, member.mtime) == (changeset.modes[row], changeset.mtimes[row])
            assert (member.uid, member.gid) == (changeset.uids[row], changeset.gids[row])
            assert (member.uname, member.gname) == ("", "")
            if row in contents:
                file = archive.extractfile(member)
                assert file is not None
                assert file.read() == contents[row]


def _files(*paths: bytes, size: int = 0) -> Changeset:
    zeros = np.zeros(len(paths), np.int64)
    kinds, modes, sizes = zeros.astype(np.uint8), zeros.astype(np.uint16), zeros + size
    return Changeset(b"\0".join(paths), kinds, modes, zeros, zeros, sizes, zeros, zeros, zeros)


def test_names_just_too_long_for_a_field_are_kept() -> None:
    folder, name = b"f" * 154, b"n" * 100
    paths = [b"a" * 100, b"b" * 101, folder + b"/" + name, b"e" * 156 + b"/" + name]
    data = _written(_files(*paths), dict.fromkeys(range(4), b""))
    assert read_changeset(Buffer(data)).paths() == paths
    # Where the two fields of ustar can hold a name, there is no other header.
    assert data.count(b"PaxHeaders") == 2


@pytest.mark.parametrize("content", [b"four", b"sixsix"])
def test_content_of_another_length_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="0"):
        list(layer_pieces(_files(b"a", size=5), lambda _: (content,)))


def test_sparse_files_keep_their_holes() -> None:
    changeset = _files(b"a", b"b", b"c")
    changeset.sizes[:] = 1 << 40, 1 << 30, 3
    changeset.sparse = {0: [(512, 4), (1 << 39, 2)], 1: []}
    data = b"".join(layer_pieces(changeset, lambda row: [(b"datago", b"", b"end")[row]]))
    assert len(data) < 20_000
    back = read_changeset(Buffer(data))
    assert back.sizes.tolist() == [1 << 40, 1 << 30, 3]
    assert back.sparse == {0: [(512, 4), (1 << 39, 2)], 1: [(1 << 30, 0)]}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [member.size for member in tar] == [1 << 40, 1 << 30, 3]
        file = tar.extractfile("a")
        assert file is not None
        assert file.read(516) == bytes(512) + b"data"
        file.seek(1 << 39)
        assert file.read(4) == b"go\0\0"
