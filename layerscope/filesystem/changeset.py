"""A changeset: what one layer adds, modifies and removes, held in columns.

The term and the meaning of whiteouts are those of the OCI image specification (layer.md,
"Change Types" and "Whiteouts"). A row is an entry of the layer; nothing here knows of other layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

#: The most entries of a layer, and of all layers of an image together. The largest images have a
#: million; each entry takes up to 1 KB of memory while layers are read and applied.
MOST_ENTRIES = 8_000_000


class EntryType(IntEnum):
    """What an entry is. The names in lower case are what JSON says."""

    FILE = 0
    HARDLINK = 1
    SYMLINK = 2
    DIR = 3
    CHAR = 4
    BLOCK = 5
    FIFO = 6
    WHITEOUT = 7
    OPAQUE = 8

    @property
    def label(self) -> str:
        """The name that JSON and the screen use."""
        return self.name.lower()


@dataclass(slots=True)
class Changeset:
    """The entries of one layer, one row each, in the order in which the layer has them.

    Paths are relative, without leading or trailing slash; the root folder, where a layer has an
    entry for it, is the empty path. A whiteout's path is the path it removes, an opaque whiteout's
    path is its folder. A path occurs once, or twice if one of the two is a whiteout.

    Attributes:
        path_blob: All paths, joined by NUL.
        kinds: `EntryType` of each row.
        modes: Permission bits, setuid, setgid and sticky included.
        uids: Owners.
        gids: Groups.
        sizes: Bytes of regular files, holes included; 0 for everything else.
        mtimes: Whole seconds since the epoch, rounded down.
        links: Target by row: a path of this form for hard links, as written for symlinks.
        devices: Major and minor number by row.
        xattrs: Extended attributes by row.
        header_offsets: Where the entry begins in the uncompressed layer; -1 if in no such place.
        data_offsets: Where its content begins in the uncompressed layer; -1 likewise.
        sparse: Offset and length of the stored pieces by row, for sparse files.
        digests: SHA-256 of the content, 32 bytes a row, zeros where unknown; None if nowhere known.
    """

    path_blob: bytes
    kinds: UInt8
    modes: npt.NDArray[np.uint16]
    uids: Int64
    gids: Int64
    sizes: Int64
    mtimes: Int64
    header_offsets: Int64
    data_offsets: Int64
    links: dict[int, bytes] = field(default_factory=dict)
    devices: dict[int, tuple[int, int]] = field(default_factory=dict)
    xattrs: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    sparse: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    digests: UInt8 | None = None
    # Where each path ends in the blob, once one is asked for alone.
    _ends: Int64 | None = field(default=None, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def entries(self) -> int:
        """How many entries there are; one for the root folder itself does not count."""
        blob = self.path_blob
        if not len(self) or (blob and blob[0] and blob[-1] and b"\0\0" not in blob):
            return len(self)
        roots = [row for row, path in enumerate(self.paths()) if not path]
        return len(self) - sum(int(self.kinds[row]) == EntryType.DIR for row in roots)

    @property
    def size(self) -> int:
        """Sum of the sizes of regular files, each inode once: hard links have a size of 0."""
        return int(self.sizes.sum())

    def paths(self) -> list[bytes]:
        """The paths of all rows."""
        return self.path_blob.split(b"\0") if len(self) else []

    def path(self, row: int) -> bytes:
        """The path of one row, without those of all others being made."""
        if self._ends is None:
            blob = np.frombuffer(self.path_blob, np.uint8)
            self._ends = np.append(np.flatnonzero(blob == 0), len(blob))
        start = int(self._ends[row - 1]) + 1 if row else 0
        return self.path_blob[start : int(self._ends[row])]

    @classmethod
    def empty(cls) -> Changeset:
        """The changeset of a layer without entries."""
        none = np.zeros(0, np.int64)
        return cls(
            path_blob=b"",
            kinds=np.zeros(0, np.uint8),
            modes=np.zeros(0, np.uint16),
            uids=none,
            gids=none,
            sizes=none,
            mtimes=none,
            header_offsets=none,
            data_offsets=none,
        )
