"""An image as a source of COPY: its merged view, with content from its layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from layerscope.build.embedded.metadata import StepError
from layerscope.build.embedded.sources import FOLDER, Node, Pieces
from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.entry_type import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images.pieces import filled

_PIECE = 1 << 20


class ImageSource:
    """The merged view of an image, or of a stage so far."""

    def __init__(self, stack: Stack, read: Callable[[int, Changeset, int], Pieces], key: str):
        """`read` returns the content of a regular file, by layer, changeset and row."""
        self._stack = stack
        self._read = read
        self._key = key
        self._top = stack.height - 1

    def find(self, path: bytes) -> Node | None:
        if not path:
            return FOLDER
        node = self._stack.tree.find(path)
        row = None if node is None else self._stack.version(node, self._top)
        return None if row is None else self._node(row)

    def names(self, path: bytes) -> Sequence[bytes]:
        return [inner for inner, _ in self.below(path) if b"/" not in inner]

    def below(self, path: bytes) -> Iterator[tuple[bytes, Node]]:
        tree = self._stack.tree
        node = tree.find(path) if path else 0
        if node is None:
            return
        rows = self._shown
        first, last = np.searchsorted(self._stack.nodes[rows], [node + 1, int(tree.ends[node])])
        skip = len(path) + 1 if path else 0
        for row in rows[first:last].tolist():
            yield tree.path(int(self._stack.nodes[row]))[skip:], self._node(row)

    @cached_property
    def _shown(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return self._stack.union(self._top) if self._top >= 0 else np.zeros(0, np.int32)

    @cached_property
    def _several(self) -> frozenset[int]:
        """Returns the inodes with several names."""
        inodes, counts = np.unique(self._stack.inodes[self._shown], return_counts=True)
        return frozenset(inodes[counts > 1].tolist())

    def stamp(self, path: bytes) -> str:
        return self._key

    def _node(self, row: int) -> Node:
        stack = self._stack
        kind = EntryType(int(stack.types[row]))
        inode = int(stack.inodes[row])
        node = Node(
            kind,
            int(stack.modes[row]),
            int(stack.uids[row]),
            int(stack.gids[row]),
            int(stack.sizes[row]) if kind == EntryType.FILE else 0,
            int(stack.mtimes[row]),
            link=stack.link(inode) or b"",
            device=stack.device(row),
            xattrs=stack.xattrs(row),
        )
        if kind != EntryType.FILE:
            return node
        place = stack.place(inode)
        if place is None:
            return node
        layer = int(stack.layers[inode])
        return node._replace(
            content=lambda: self._read(layer, *place),
            inode=inode if inode in self._several else None,
        )


def stored_content(fd: int, changeset: Changeset, row: int) -> Pieces:
    """Returns the content of a file in an open, uncompressed tar."""
    size, offset = int(changeset.sizes[row]), int(changeset.data_offsets[row])
    extents = changeset.sparse.get(row)
    if extents is not None:
        return _sparse(fd, size, offset, extents)
    return (_at(fd, size, offset),) if size < _PIECE else _range_of(fd, size, offset)


def _range_of(fd: int, size: int, offset: int) -> Iterator[bytes]:
    for start in range(0, size, _PIECE):
        yield _at(fd, min(_PIECE, size - start), offset + start)


def _at(fd: int, size: int, offset: int) -> bytes:
    try:
        data = os.pread(fd, size, offset)
    except OSError as error:
        raise StepError(f"A layer cannot be read ({error.strerror}).") from None
    if len(data) != size:
        raise BadInputError("The archive or layer", offset, "it is shorter than it was")
    return data


def _sparse(fd: int, size: int, offset: int, extents: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    from layerscope.images.pieces import Hole

    reached = 0
    for start, length in extents:
        yield from filled([Hole(start - reached)])
        yield from _range_of(fd, length, offset)
        offset += length
        reached = start + length
    yield from filled([Hole(size - reached)])
