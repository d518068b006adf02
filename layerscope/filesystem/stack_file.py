"""A stack as bytes, cached so that a known image opens at once.

A header of fixed length, a table of contents in JSON, and sections, each compressed with zstd.
Parts that are not needed to view a stack (offsets of content, links, extended attributes) are
unpacked on demand.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import zstandard

from layerscope.filesystem.changeset import Changeset, narrowed
from layerscope.filesystem.changeset_file import (
    ChangesetFileError,
    as_bytes,
    as_text,
    rare_document,
    rare_values,
)
from layerscope.filesystem.stack import COLUMNS, Stack, Whole
from layerscope.filesystem.tree import PathTree

#: Raised whenever the format or the meaning of a stack changes.
VERSION = 2

_MAGIC = b"lsst"
#: Magic, version, checksum of the rest, digest of the key, length of the table of contents.
_HEADER = struct.Struct("<4sII32sI")

#: Longer than any section of the largest stack.
_MAX_LENGTH = 1 << 36

#: Columns that differ between a stack and its layers, as hard links share an inode.
_SHARED = ("modes", "uids", "gids", "sizes", "mtimes")
_OFFSETS = ("header_offsets", "data_offsets")


def dump_stack(stack: Stack, key: str) -> bytes:
    """A stack as bytes; `key` identifies its layers, and `load_stack` needs the same key."""
    out = _Writer()
    for name, dtype in COLUMNS.items():
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
        "outside": {row: as_text(name) for row, name in stack.outside.items()},
        "sections": out.table,
    }
    table = json.dumps(contents, separators=(",", ":")).encode()
    rest = b"".join([table, *out.parts])
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return _HEADER.pack(_MAGIC, VERSION, zlib.crc32(rest), digest, len(table)) + rest


def load_stack(data: bytes, key: str) -> Stack:
    """Reads the output of `dump_stack`.

    Raises ChangesetFileError if it is damaged, of another version, or has another key.
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
        columns = {name: sections.column(name).astype(dtype) for name, dtype in COLUMNS.items()}
        columns["nodes"] = np.cumsum(sections.column("nodes"), dtype=np.int64).astype(np.int32)
        columns["inodes"] += np.arange(len(columns["inodes"]), dtype=np.int32)
        shape = (
            sections.column("lengths").astype(np.int64),
            sections.column("depths").astype(np.int16),
        )
        tree = PathTree([], blob=sections.unpacked("paths"), shape=shape)
        bases: list[int] = contents["bases"]
        layers = _Layers(sections, bases, columns, tree)
        outside = {int(row): as_bytes(name) for row, name in contents["outside"].items()}
        whole = Whole(tree, bases, columns, contents["entries"], outside)
        return Stack(layers, whole=whole)
    except (struct.error, zstandard.ZstdError, KeyError, TypeError, ValueError) as error:
        raise ChangesetFileError(str(error)) from None


class _Writer:
    """Writes sections and the table of their locations."""

    def __init__(self) -> None:
        self.table: dict[str, tuple[int, int, str]] = {}
        self.parts: list[bytes] = []
        self._place = 0
        self._compressor = zstandard.ZstdCompressor(level=1)

    def add(self, name: str, column: npt.NDArray[Any]) -> None:
        self.add_bytes(name, column.tobytes(), column.dtype.str)

    def add_bytes(self, name: str, data: bytes, dtype: str = "") -> None:
        part = self._compressor.compress(data)
        self.table[name] = (self._place, len(part), dtype)
        self.parts.append(part)
        self._place += len(part)


class _Sections:
    """Sections, unpacked on demand."""

    def __init__(self, data: bytes, place: int, table: dict[str, tuple[int, int, str]]) -> None:
        self._data = memoryview(data)
        self._place = place
        self._table = table

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column as it was added, read only."""
        return np.frombuffer(self.unpacked(name), np.dtype(self._table[name][2]))

    def unpacked(self, name: str) -> bytes:
        start, size, _ = self._table[name]
        part = self._data[self._place + start : self._place + start + size]
        if zstandard.frame_content_size(part) > _MAX_LENGTH:
            raise ValueError("the length is wrong")
        # Threads share these sections, but a decompressor is not thread-safe.
        return zstandard.ZstdDecompressor().decompress(part)


@dataclass(eq=False)
class _Layers(Sequence[Changeset]):
    """The changesets of a stack from the cache, each created on demand."""

    sections: _Sections
    bases: list[int]
    columns: dict[str, npt.NDArray[Any]]
    tree: PathTree
    made: dict[int, Changeset] = field(default_factory=dict)
    rare: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.bases) - 1

    @overload
    def __getitem__(self, layer: int) -> Changeset: ...

    @overload
    def __getitem__(self, layer: slice) -> list[Changeset]: ...

    def __getitem__(self, layer: int | slice) -> Changeset | list[Changeset]:
        if isinstance(layer, slice):
            return [self[index] for index in range(*layer.indices(len(self)))]
        index = range(len(self))[layer]
        made = self.made.get(index)
        if made is None:
            # Several threads may create it at the same time; all get the first.
            made = self.made.setdefault(index, self._make(index))
        return made

    def __iter__(self) -> Iterator[Changeset]:
        for layer in range(len(self)):
            yield self[layer]

    def _make(self, layer: int) -> Changeset:
        start, stop = self.bases[layer : layer + 2]
        sections = self.sections
        if self.rare is None:
            self.rare = json.loads(sections.unpacked("rare"))
        nodes = self.columns["nodes"][start:stop]
        own: dict[str, Any] = {name: self._own(name, start, stop) for name in _SHARED}
        digests = None
        if f"digests {layer}" in sections:
            digests = np.frombuffer(sections.unpacked(f"digests {layer}"), np.uint8)
            digests = digests.reshape(-1, 32)
        offsets: dict[str, Any] = {
            name: np.cumsum(sections.column(f"{name} {layer}"), dtype=np.int64) for name in _OFFSETS
        }
        return Changeset(
            path_blob=b"\0".join(self.tree.paths(nodes.tolist())),
            kinds=self.columns["kinds"][start:stop],
            **own,
            **offsets,
            **rare_values(self.rare[layer]),
            digests=digests,
        )

    def _own(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        column = self.columns[name][start:stop].copy()
        rows = self.sections.column(f"{name} rows")
        first, last = np.searchsorted(rows, (start, stop))
        values = self.sections.column(f"{name} values")
        column[rows[first:last] - start] = values[first:last]
        return column
