"""A changeset: what one layer adds, modifies and removes, held in columns.

Terms and whiteouts are as in the OCI image specification (layer.md, "Change Types" and
"Whiteouts"). A row is an entry of the layer; nothing here depends on other layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.entry_type import EntryType as EntryType

Bool = npt.NDArray[np.bool_]
Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]
Intp = npt.NDArray[np.intp]

#: The most entries in a layer, and in all layers of an image together. The largest images have a
#: million; each takes up to 1 KB of memory while layers are read and applied.
MOST_ENTRIES = 8_000_000


_NARROW = (np.int8, np.int16, np.int32, np.int64)

#: Bytes of paths in a piece.
_PIECE = 1 << 20

_OFFSETS = ("header_offsets", "data_offsets")
#: The columns with a value for every row, and those with values for few rows.
COLUMNS = ("kinds", "modes", "uids", "gids", "sizes", "mtimes", *_OFFSETS)
SPARSE_COLUMNS = ("links", "devices", "xattrs", "sparse", "outside")


def path_pieces(blob: bytes, separator: bytes = b"\0") -> Iterator[list[bytes]]:
    """The paths in a joined string, some ten thousand at a time."""
    start = 0
    while (end := blob.find(separator, start + _PIECE)) >= 0:
        yield blob[start:end].split(separator)
        start = end + 1
    yield blob[start:].split(separator)


def hashes(paths: Iterable[bytes], count: int) -> Int64:
    """A number for each path; different paths rarely share one.

    Sorted, they take a tenth of the memory of a dict.
    """
    return np.fromiter(map(hash, paths), np.int64, count)


def narrowed(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column in the smallest type that holds all values."""
    if column.dtype != np.int64 or not len(column):
        return column
    low, high = int(column.min()), int(column.max())
    for dtype in _NARROW:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return column.astype(dtype)
    return column


@dataclass(slots=True)
class Changeset:
    """The entries of one layer, one row each, in layer order.

    Paths are relative, without leading or trailing slash; the root folder, if the layer has an
    entry for it, is the empty path. A whiteout's path is the path it removes; an opaque whiteout's
    is its folder. A path occurs once, or twice if one of the two is a whiteout.
    """

    path_blob: bytes  # All paths, joined by NUL.
    kinds: UInt8  # `EntryType`.
    modes: UInt16  # Permission bits, with setuid, setgid and sticky.
    uids: Int64
    gids: Int64
    sizes: Int64  # Bytes of regular files, including holes; 0 for everything else.
    mtimes: Int64  # Whole seconds since the epoch, rounded down.
    #: Where the entry begins in the uncompressed layer; -1 if unknown.
    header_offsets: Int64
    data_offsets: Int64  # Where its content begins there; -1 if unknown.
    #: Target by row: a path of this form for hard links, as written for symlinks.
    links: dict[int, bytes] = field(default_factory=dict)
    #: Major and minor number by row.
    devices: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Extended attributes by row.
    xattrs: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    #: Offset and length of the stored pieces, for sparse files by row.
    sparse: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    #: The archive's name for a row, or a hard link's target, if it leads out of the root. Engines
    #: cut it off at the root; an ordinary layer has none.
    outside: dict[int, bytes] = field(default_factory=dict)
    #: SHA-256 of the content, 32 bytes a row, zeros where unknown; or None.
    digests: UInt8 | None = None
    # The end of each path in the blob, once `path` has been called.
    _ends: Int64 | None = field(default=None, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def entries(self) -> int:
        """The number of entries, without one for the root folder."""
        blob = self.path_blob
        if not len(self) or (blob and blob[0] and blob[-1] and b"\0\0" not in blob):
            return len(self)
        roots = [row for row, path in enumerate(self.paths()) if not path]
        return len(self) - sum(int(self.kinds[row]) == EntryType.DIR for row in roots)

    @property
    def size(self) -> int:
        """The total size of regular files, each inode once: hard links have a size of 0."""
        return int(self.sizes.sum())

    def pieces(self) -> Iterator[list[bytes]]:
        """The paths in order, some ten thousand at a time: a list of all takes much memory."""
        return path_pieces(self.path_blob) if len(self) else iter(())

    def paths(self) -> list[bytes]:
        return self.path_blob.split(b"\0") if len(self) else []

    def path(self, row: int) -> bytes:
        """The path of one row, found without building the list of all."""
        if self._ends is None:
            blob = np.frombuffer(self.path_blob, np.uint8)
            self._ends = np.append(np.flatnonzero(blob == 0), len(blob))
        start = int(self._ends[row - 1]) + 1 if row else 0
        return self.path_blob[start : int(self._ends[row])]

    def take(self, rows: Int64, paths: list[bytes] | None = None) -> Changeset:
        """A selection of rows, with new paths for all rows if given.

        If a row occurs twice, only the first has its values in sparse columns.
        """
        paths = self.paths() if paths is None else paths
        taken = rows.tolist()
        place: dict[int, int] = {}
        for new, old in enumerate(taken):
            place.setdefault(old, new)
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in COLUMNS}
        for name in SPARSE_COLUMNS:
            values = getattr(self, name).items()
            columns[name] = {place[row]: value for row, value in values if row in place}
        return Changeset(
            path_blob=b"\0".join([paths[row] for row in taken]),
            **columns,
            digests=None if self.digests is None else self.digests[rows],
        )

    def extended(self, paths: Sequence[bytes], kinds: Sequence[int]) -> Changeset:
        """Appends rows that have only a path and a kind."""
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            column = getattr(self, name)
            rest = np.full(len(paths), -1 if name in _OFFSETS else 0, np.int64)
            columns[name] = np.concatenate([column, rest.astype(column.dtype)])
        columns["kinds"][len(self) :] = kinds
        if self.digests is not None:
            rest = np.zeros((len(paths), 32), np.uint8)
            columns["digests"] = np.concatenate([self.digests, rest])
        return replace(self, path_blob=b"\0".join([*self.paths(), *paths]), **columns)

    @classmethod
    def empty(cls) -> Changeset:
        types: dict[str, npt.DTypeLike] = {"kinds": np.uint8, "modes": np.uint16}
        columns: dict[str, Any] = {name: np.zeros(0, types.get(name, np.int64)) for name in COLUMNS}
        return cls(path_blob=b"", **columns)
