"""A stack as bytes: what the cache keeps so that an image that was read before opens at once.

A header of fixed length, a table of contents in JSON, and sections, each compressed with zstd by
itself. What nobody asks of a stack that is only looked at (where the content of files is, links,
extended attributes) is unpacked when it is asked for.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import zstandard

from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.changeset_file import (
    ChangesetFileError,
    narrowed,
    rare_document,
    rare_values,
)
from layerscope.filesystem.stack import Stack, Whole
from layerscope.filesystem.tree import PathTree

#: Changes whenever what is written changes, or what a stack means.
VERSION = 1

_MAGIC = b"lsst"
#: Magic, version, checksum of the rest, digest of the key, length of the table of contents.
_HEADER = struct.Struct("<4sII32sI")

#: Longer than anything of the most versions that a stack can have; what claims more is damaged.
_MAX_LENGTH = 1 << 36

_TYPES: dict[str, npt.DTypeLike] = {
    "nodes": np.int32,
    "hidden_by": np.int16,
    "below": np.int32,
    "inodes": np.int32,
    "kinds": np.uint8,
    "modes": np.uint16,
    "uids": np.int64,
    "gids": np.int64,
    "sizes": np.int64,
    "mtimes": np.int64,
    "changes": np.uint8,
    "aspects": np.uint16,
    "unread": np.bool_,
    "layers": np.int16,
}
#: Columns that a stack has otherwise than its layers, since hard links share an inode.
_SHARED = ("modes", "uids", "gids", "sizes", "mtimes")
_OFFSETS = ("header_offsets", "data_offsets")


def dump_stack(stack: Stack, key: str) -> bytes:
    """A stack as bytes.

    Args:
        stack: The stack.
        key: What it is of; only who knows it can load it.
    """
    out = _Writer()
    for name, dtype in _TYPES.items():
        column = getattr(stack, name)
        if name == "nodes":
            column = np.diff(column.astype(np.int64), prepend=0)
        elif name == "inodes":
            column = column.astype(np.int64) - np.arange(len(column))
        out.add(name, narrowed(column.astype(np.int64)) if dtype != np.bool_ else column)
    out.add_bytes("paths", stack.tree.blob)
    out.add("lengths", narrowed(stack.tree.lengths))
    out.add("depths", narrowed(stack.tree.depths.astype(np.int64)))
    changesets = stack.changesets
    for name in _SHARED:
        own = np.concatenate([*(getattr(c, name) for c in changesets), np.zeros(0, np.int64)])
        rows = np.flatnonzero(own != getattr(stack, name)[: len(own)])
        out.add(f"{name} rows", rows)
        out.add(f"{name} values", own[rows].astype(np.int64))
    for name in _OFFSETS:
        for layer, changeset in enumerate(changesets):
            offsets = getattr(changeset, name)
            out.add(f"{name} {layer}", narrowed(np.diff(offsets, prepend=0)))
    for layer, changeset in enumerate(changesets):
        if changeset.digests is not None:
            out.add_bytes(f"digests {layer}", changeset.digests.tobytes())
    rare = [rare_document(changeset) for changeset in changesets]
    out.add_bytes("rare", json.dumps(rare, separators=(",", ":")).encode())
    contents = {
        "bases": stack.bases,
        "entries": [stack.entries(layer) for layer in range(stack.height)],
        "sections": out.table,
    }
    table = json.dumps(contents, separators=(",", ":")).encode()
    rest = b"".join([table, *out.parts])
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return _HEADER.pack(_MAGIC, VERSION, zlib.crc32(rest), digest, len(table)) + rest


def load_stack(data: bytes, key: str) -> Stack:
    """The stack in bytes that `dump_stack` made.

    Raises:
        ChangesetFileError: They are damaged, of another version, or of another stack.
    """
    try:
        magic, version, checksum, digest, length = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != VERSION:
            raise ChangesetFileError("not a stack of this version")
        if digest != hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest():
            raise ChangesetFileError("it is another stack")
        if zlib.crc32(memoryview(data)[_HEADER.size :]) != checksum:
            raise ChangesetFileError("the checksum is wrong")
        place = _HEADER.size + length
        contents = json.loads(data[_HEADER.size : place])
        sections = _Sections(data, place, contents["sections"])
        columns = {name: sections.column(name).astype(dtype) for name, dtype in _TYPES.items()}
        columns["nodes"] = np.cumsum(sections.column("nodes"), dtype=np.int64).astype(np.int32)
        columns["inodes"] += np.arange(len(columns["inodes"]), dtype=np.int32)
        shape = (
            sections.column("lengths").astype(np.int64),
            sections.column("depths").astype(np.int16),
        )
        tree = PathTree([], blob=sections.unpacked("paths"), shape=shape)
        bases: list[int] = contents["bases"]
        layers = _Layers(sections, bases, columns, tree)
        return Stack(layers, whole=Whole(tree, bases, columns, contents["entries"]))
    except (struct.error, zstandard.ZstdError, KeyError, TypeError, ValueError) as error:
        raise ChangesetFileError(str(error)) from None


class _Writer:
    """Sections, and the table of where they are."""

    def __init__(self) -> None:
        self.table: dict[str, tuple[int, int, str]] = {}
        self.parts: list[bytes] = []
        self._place = 0
        self._compressor = zstandard.ZstdCompressor(level=1)

    def add(self, name: str, column: npt.NDArray[Any]) -> None:
        """Adds a column."""
        self.add_bytes(name, column.tobytes(), column.dtype.str)

    def add_bytes(self, name: str, data: bytes, dtype: str = "") -> None:
        """Adds whatever it is."""
        part = self._compressor.compress(data)
        self.table[name] = (self._place, len(part), dtype)
        self.parts.append(part)
        self._place += len(part)


class _Sections:
    """Sections that are unpacked when they are asked for."""

    def __init__(self, data: bytes, place: int, table: dict[str, tuple[int, int, str]]) -> None:
        self._data = memoryview(data)
        self._place = place
        self._table = table
        self._decompressor = zstandard.ZstdDecompressor()

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column as it was added; not to be written to."""
        return np.frombuffer(self.unpacked(name), np.dtype(self._table[name][2]))

    def unpacked(self, name: str) -> bytes:
        """The bytes of a section."""
        start, size, _ = self._table[name]
        part = self._data[self._place + start : self._place + start + size]
        if zstandard.frame_content_size(part) > _MAX_LENGTH:
            raise ValueError("the length is wrong")
        return self._decompressor.decompress(part)


class _Layers(Sequence[Changeset]):
    """The changesets of a stack that was not made of any, each made when it is asked for."""

    def __init__(
        self,
        sections: _Sections,
        bases: list[int],
        columns: dict[str, npt.NDArray[Any]],
        tree: PathTree,
    ) -> None:
        self._sections = sections
        self._bases = bases
        self._columns = columns
        self._tree = tree
        self._made: dict[int, Changeset] = {}
        self._rare: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self._bases) - 1

    @overload
    def __getitem__(self, layer: int) -> Changeset: ...

    @overload
    def __getitem__(self, layer: slice) -> list[Changeset]: ...

    def __getitem__(self, layer: int | slice) -> Changeset | list[Changeset]:
        if isinstance(layer, slice):
            return [self[index] for index in range(*layer.indices(len(self)))]
        index = range(len(self))[layer]
        if index not in self._made:
            self._made[index] = self._make(index)
        return self._made[index]

    def __iter__(self) -> Iterator[Changeset]:
        for layer in range(len(self)):
            yield self[layer]

    def _make(self, layer: int) -> Changeset:
        start, stop = self._bases[layer : layer + 2]
        sections = self._sections
        if self._rare is None:
            self._rare = json.loads(sections.unpacked("rare"))
        nodes = self._columns["nodes"][start:stop]
        own: dict[str, Any] = {name: self._own(name, start, stop) for name in _SHARED}
        digests = None
        if f"digests {layer}" in sections:
            digests = np.frombuffer(sections.unpacked(f"digests {layer}"), np.uint8)
            digests = digests.reshape(-1, 32)
        offsets: dict[str, Any] = {
            name: np.cumsum(sections.column(f"{name} {layer}"), dtype=np.int64) for name in _OFFSETS
        }
        return Changeset(
            path_blob=b"\0".join(self._tree.paths(nodes.tolist())),
            kinds=self._columns["kinds"][start:stop],
            **own,
            **offsets,
            **rare_values(self._rare[layer]),
            digests=digests,
        )

    def _own(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """A column as the layer has it."""
        column = self._columns[name][start:stop].copy()
        rows = self._sections.column(f"{name} rows")
        first, last = np.searchsorted(rows, (start, stop))
        values = self._sections.column(f"{name} values")
        column[rows[first:last] - start] = values[first:last]
        return column
