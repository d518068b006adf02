"""Writes a changeset as the tar stream of a layer (OCI image specification, layer.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from layerscope.filesystem.changeset import Changeset, EntryType, Int64
from layerscope.filesystem.tar_changeset import OPAQUE_WHITEOUT, WHITEOUT_PREFIX
from layerscope.oci.tar_header import BLOCK
from layerscope.oci.tar_write import END, Entries, encode

#: Type flags by `EntryType`; a whiteout is an empty file.
_FLAGS = np.frombuffer(b"0125346" + b"00", np.uint8)

_ROWS = 1 << 14  # Entries whose headers are created at a time.
_PIECE = 1 << 20

T = TypeVar("T")

#: The content of a regular file, by its row; for a sparse file, only the stored pieces.
Content = Callable[[int], Iterable[bytes]]


def layer_pieces(changeset: Changeset, content: Content) -> Iterator[bytes | bytearray]:
    """The tar stream, in pieces of about a mebibyte, each valid until the next is requested.

    Entries keep their order, and equal changesets produce equal bytes. Raises ValueError if the
    content of a file is not as long as the changeset claims; the argument is its row.
    """
    piece = bytearray()
    first = 0
    for paths in _batches(changeset):
        rows = slice(first, first + len(paths))
        headers = encode(_entries(changeset, rows, paths))
        blocks = memoryview(headers.blocks)
        sizes = _stored_sizes(changeset, rows)
        # Headers between two files with content form one piece.
        start = 0
        stops = np.flatnonzero(sizes)
        stops = np.union1d(stops, np.fromiter(headers.before, np.int64, len(headers.before)))
        for row in stops.astype(np.int64).tolist():
            piece += blocks[start * BLOCK : row * BLOCK]
            piece += headers.before.get(row, b"")
            piece += blocks[row * BLOCK : (row + 1) * BLOCK]
            start = row + 1
            left = size = int(sizes[row])
            if size:
                for data in content(first + row):
                    left -= len(data)
                    piece += data
                    if len(piece) >= _PIECE:
                        yield piece
                        piece = bytearray()
                if left:
                    raise ValueError(first + row)
                piece += bytes(-size % BLOCK)
        piece += blocks[start * BLOCK :]
        if len(piece) >= _PIECE:
            yield piece
            piece = bytearray()
        first += len(paths)
    yield piece + END


def _batches(changeset: Changeset) -> Iterator[list[bytes]]:
    for paths in changeset.pieces():
        for start in range(0, len(paths), _ROWS):
            yield paths[start : start + _ROWS]


def _entries(changeset: Changeset, rows: slice, paths: list[bytes]) -> Entries:
    kinds = changeset.kinds[rows]
    for row in np.flatnonzero(kinds == EntryType.DIR).tolist():
        paths[row] = paths[row] + b"/" if paths[row] else b"./"
    for row in np.flatnonzero(kinds >= EntryType.WHITEOUT).tolist():
        paths[row] = _whiteout(paths[row], opaque=kinds[row] == EntryType.OPAQUE)

    def within(column: Mapping[int, T]) -> dict[int, T]:
        return {row - rows.start: column[row] for row in column if rows.start <= row < rows.stop}

    xattrs = within(changeset.xattrs)
    return Entries(
        paths,
        _FLAGS[kinds],
        changeset.modes[rows],
        changeset.uids[rows],
        changeset.gids[rows],
        _stored_sizes(changeset, rows),
        changeset.mtimes[rows],
        within(changeset.links),
        within(changeset.devices),
        # Attributes belong to a file, not to its further names.
        {row: found for row, found in xattrs.items() if kinds[row] != EntryType.HARDLINK},
        {
            row: (int(changeset.sizes[rows.start + row]), pieces)
            for row, pieces in within(changeset.sparse).items()
        },
    )


def _stored_sizes(changeset: Changeset, rows: slice) -> Int64:
    """The number of bytes that follow each header."""
    sizes = np.where(changeset.kinds[rows] == EntryType.FILE, changeset.sizes[rows], 0)
    for row, pieces in changeset.sparse.items():
        if rows.start <= row < rows.stop:
            sizes[row - rows.start] = sum(length for _, length in pieces)
    return sizes.astype(np.int64)


def _whiteout(path: bytes, *, opaque: bool) -> bytes:
    if opaque:
        return path + b"/" + OPAQUE_WHITEOUT if path else OPAQUE_WHITEOUT
    folder, slash, name = path.rpartition(b"/")
    return folder + slash + WHITEOUT_PREFIX + name
