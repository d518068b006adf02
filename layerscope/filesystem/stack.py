"""The stack: layers on top of each other, and the merged view at any height.

Applying a layer follows the OCI image specification (layer.md, "Applying Changesets") and
overlayfs: a whiteout hides its path and everything below it in lower layers, whether it comes
before or after other entries of its own layer; an opaque whiteout hides what they have below its
folder; anything that is not a folder hides what was below its path; a folder over a folder merges
with it. Where most engines differ, they win: an opaque whiteout of the root hides nothing, and
`settle` drops a whiteout that a later folder of the same layer replaces.

Every entry of every layer is a *version* of its path. A version is visible in the merged views from
its own layer up to, and not including, the layer that hid it. So no merged view is stored: each is
a comparison of two columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import (
    Bool,
    Changeset,
    EntryType,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
)
from layerscope.filesystem.tree import PathTree
from layerscope.text import clip, visible

#: Characters of a link's target in a message.
_LONGEST_TARGET = 200

#: The columns of a stack, and the types of their values.
COLUMNS: dict[str, npt.DTypeLike] = {
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


#: The last second that fits in 64 bits as nanoseconds.
_LAST_SECOND = ((1 << 63) - 1) // 10**9


@dataclass(frozen=True, slots=True)
class Whole:
    """The parts of a stack besides its changesets."""

    tree: PathTree
    bases: list[int]
    columns: Mapping[str, npt.NDArray[Any]]  # The columns of the stack, by name.
    entries: list[int]  # The number of entries of each layer.
    outside: dict[int, bytes]  # As in `Stack`.


class Stack:
    """Layers on top of each other.

    Columns have a row for each version: the entries of layer 0, then those of layer 1, and so on,
    then implied folders: those without an entry of their own, which engines create.
    """

    changesets: Sequence[Changeset]  # The layers, base first.
    tree: PathTree
    bases: list[int]  # Row of the first entry of each layer, and one past the last.
    nodes: Int32  # Node of each version.
    layers: Int16  # Layer that wrote each version.
    hidden_by: Int16  # Layer that hid each version, or `NEVER`.
    below: Int32  # Row of the version that was visible at the path before this layer, or -1.
    inodes: Int32  # Row of the version that has the inode: itself, unless it is a hard link.
    kinds: UInt8  # `EntryType` of each version in its layer.
    types: UInt8  # The same, but hard links have the type of their target.
    modes: UInt16
    uids: Int64
    gids: Int64
    sizes: Int64  # Bytes; a hard link has the size of its target.
    mtimes: Int64  # Whole seconds.
    changes: UInt8  # `Change` of each version, compared with the merged view below its layer.
    aspects: UInt16  # `Aspect` bits of modified versions.
    #: Whether a version is a regular file over one of the same size whose content has not been
    #: compared with it. Until then it counts as unchanged if nothing else differs.
    unread: Bool
    outside: dict[int, bytes]  # `Changeset.outside`, by the row of the version.

    def __init__(self, changesets: Sequence[Changeset], *, whole: Whole | None = None) -> None:
        """Applies the layers. `whole` is the cached result, if known."""
        self._entries: list[int] | None = None
        self.changesets = changesets
        if whole is None:
            changesets = self.changesets = list(changesets)
            # Imported here: a stack from the cache does not need it.
            from layerscope.filesystem.apply import Applied
            from layerscope.filesystem.classify import classify

            applied = Applied(changesets)
            aspects, unread = classify(applied)
            self.tree, self.bases = applied.tree, applied.bases
            self.outside = {
                base + row: name
                for base, changeset in zip(self.bases, changesets, strict=False)
                for row, name in changeset.outside.items()
            }
            columns: Mapping[str, Any] = vars(applied) | {"aspects": aspects, "unread": unread}
        else:
            self.tree, self.bases, columns = whole.tree, whole.bases, whole.columns
            self._entries, self.outside = whole.entries, whole.outside
        for name in COLUMNS:
            setattr(self, name, columns[name])
        self.types = self.kinds[self.inodes]

    @property
    def height(self) -> int:
        return len(self.changesets)

    def rows(self, layer: int) -> range:
        return range(self.bases[layer], self.bases[layer + 1])

    def changed(self, layer: int) -> Int32:
        """The versions that a layer changes: its entries, and the folders that it implies."""
        rows, first = self.rows(layer), self.bases[-1]
        implied = (np.flatnonzero(self.layers[first:] == layer) + first).astype(np.int32)
        return np.concatenate([np.arange(rows.start, rows.stop, dtype=np.int32), implied])

    def implied_folders(self, layer: int) -> int:
        return int((self.layers[self.bases[-1] :] == layer).sum())

    def implied(self, row: int) -> bool:
        """Whether a version is a folder that no entry of its layer describes."""
        return row >= self.bases[-1]

    def place(self, row: int) -> tuple[Changeset, int] | None:
        """The changeset of a version and its row there; None for an implied folder."""
        if self.implied(row):
            return None
        layer = int(self.layers[row])
        return self.changesets[layer], row - self.bases[layer]

    def entries(self, layer: int) -> int:
        """The number of entries of a layer, without one for the root folder."""
        known = self._entries
        return self.changesets[layer].entries if known is None else known[layer]

    def union(self, layer: int) -> Int32:
        """The versions visible with `layer` on top, sorted by node; the root may be among them."""
        visible = np.flatnonzero((self.layers <= layer) & (self.hidden_by > layer))
        order = np.argsort(self.nodes[visible], kind="stable")
        return visible[order].astype(np.int32)

    def removed(self, layer: int) -> Int32:
        """The versions that the layer removed: it hid them and put nothing at their path."""
        hidden = np.flatnonzero((self.hidden_by == layer) & (self.layers < layer))
        present = np.zeros(len(self.tree), np.bool_)
        present[self.nodes[(self.layers == layer) & (self.hidden_by > layer)]] = True
        gone = hidden[~present[self.nodes[hidden]]]
        return gone[np.argsort(self.nodes[gone], kind="stable")].astype(np.int32)

    def version(self, node: int, layer: int) -> int | None:
        """The version of a path that is visible with `layer` on top, or None."""
        for row in self.versions(node):
            if self.layers[row] <= layer < self.hidden_by[row]:
                return row
        return None

    def versions(self, node: int) -> list[int]:
        """All versions of a path except whiteouts, lowest layer first."""
        rows = np.flatnonzero(self.nodes == node)
        rows = rows[self.kinds[rows] < EntryType.WHITEOUT]
        ordered: list[int] = rows[np.argsort(self.layers[rows], kind="stable")].tolist()
        return ordered

    def link(self, row: int) -> bytes | None:
        place = self.place(row)
        return None if place is None else place[0].links.get(place[1])

    def dangling(self, row: int) -> str:
        """Why a hard link has only its own inode, as the end of a sentence."""
        target = clip(visible(self.link(row) or b""), _LONGEST_TARGET)
        return f"it is a hard link to /{target}, which is not a file of the image"

    def device(self, row: int) -> tuple[int, int] | None:
        place = self.place(int(self.inodes[row]))
        return None if place is None else place[0].devices.get(place[1])

    def xattrs(self, row: int) -> dict[bytes, bytes]:
        """Extended attributes; a hard link has those of its inode."""
        place = self.place(int(self.inodes[row]))
        return {} if place is None else place[0].xattrs.get(place[1], {})

    def shown_mtimes(self, rows: Int32) -> Int64:
        """The mtimes that containers show: engines unpack times before 1970 or after 2262 as 0.

        Most keep the time of a symlink. A container's own layer is already on disk, and keeps its
        times.
        """
        mtimes: Int64 = self.mtimes[rows].copy()
        odd = (mtimes < 0) | (mtimes > _LAST_SECOND)
        for place in np.flatnonzero(odd & (self.types[rows] != EntryType.SYMLINK)).tolist():
            found = self.place(int(self.inodes[rows[place]]))
            if found is None or found[0].header_offsets[found[1]] >= 0:
                mtimes[place] = 0
        return mtimes

    def layer_size(self, layer: int) -> int:
        """The total size of a layer's regular files, each inode once."""
        rows = self.rows(layer)
        files = self.kinds[rows.start : rows.stop] == EntryType.FILE
        return int(self.sizes[rows.start : rows.stop][files].sum())

    def counts(self, layer: int) -> dict[Change, int]:
        """The number of paths by change in a layer, with implied folders, without the root."""
        own = self.changed(layer)
        counted = (self.nodes[own] != 0) | (self.kinds[own] == EntryType.OPAQUE)
        numbers = np.bincount(self.changes[own][counted], minlength=len(Change)).tolist()
        return {change: numbers[change] for change in Change}

    def settle(self, row: int, same: bool) -> None:
        """Records whether the content of an unread version equals the one below."""
        self.unread[row] = False
        if not same:
            self.changes[row] = Change.MODIFIED
            self.aspects[row] |= np.uint16(Aspect.CONTENT)
