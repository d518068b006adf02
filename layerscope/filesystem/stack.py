"""The stack: layers on top of each other, and the union file system at any height.

Applying a layer follows the OCI image specification (layer.md, "Applying Changesets") and
overlayfs: a whiteout hides what lower layers have at its path and below, whether it comes before or
after other entries of its own layer; an opaque whiteout hides what they have below its folder;
anything that is not a folder hides all that was below its path; a folder over a folder merges with
it.

Every entry of every layer is a *version* of its path. A version is visible in the unions from its
own layer up to, and not including, the layer that hid it. These two numbers say everything: no
union is stored, and each is one comparison of two columns away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import Changeset, EntryType, Int64, UInt8
from layerscope.filesystem.tree import Int32, PathTree

if TYPE_CHECKING:
    from layerscope.filesystem.apply import Bool, Int16, UInt16


@dataclass(frozen=True, slots=True)
class Whole:
    """What a stack has beside its changesets.

    Attributes:
        tree: As in `Stack`.
        bases: As in `Stack`.
        columns: The columns of the stack, by name.
        entries: How many entries each layer has.
    """

    tree: PathTree
    bases: list[int]
    columns: Mapping[str, npt.NDArray[Any]]
    entries: list[int]


class Stack:
    """Layers on top of each other.

    Columns have a row for each version: first the entries of layer 0, then those of layer 1, and so
    on, then folders that no entry names but that entries below them imply.

    Attributes:
        changesets: The layers, base first.
        tree: The tree of all paths.
        bases: Row of the first entry of each layer, and one past the last.
        nodes: Node of each version.
        layers: Layer that wrote each version.
        hidden_by: Layer that hid each version, or `NEVER`.
        below: Row of the version that was visible at the path before this layer, or -1.
        kinds: `EntryType` of each version, as its layer has it.
        types: The same with hard links seen as what they are links to.
        modes: Permission bits.
        uids: Owners.
        gids: Groups.
        sizes: Bytes; a hard link has the size of the file it is a link to.
        mtimes: Whole seconds.
        inodes: Row of the version that stands for the inode: other than itself for hard links.
        changes: `Change` of each version, against the union below its layer.
        aspects: `Aspect` bits of modified versions.
        unread: Whether a version is a regular file over one of the same size whose content has not
            been compared with it. One that looks unchanged counts as unchanged until then.
    """

    def __init__(self, changesets: Sequence[Changeset], *, whole: Whole | None = None) -> None:
        """Applies the layers.

        Args:
            changesets: The layers, base first.
            whole: What applying them gave another time; then nothing is left to be done.
        """
        self._entries: list[int] | None = None
        self.changesets = changesets
        if whole is None:
            changesets = self.changesets = list(changesets)
            # Not at the top: a stack that was made before has no need of them.
            from layerscope.filesystem.apply import Applied
            from layerscope.filesystem.classify import classify

            applied = Applied(changesets)
            aspects, unread = classify(applied)
            self.tree, self.bases = applied.tree, applied.bases
            columns: Mapping[str, npt.NDArray[Any]] = vars(applied) | {
                "aspects": aspects,
                "unread": unread,
            }
        else:
            self.tree, self.bases, columns = whole.tree, whole.bases, whole.columns
            self._entries = whole.entries
        self.nodes: Int32 = columns["nodes"]
        self.layers: Int16 = columns["layers"]
        self.hidden_by: Int16 = columns["hidden_by"]
        self.below: Int32 = columns["below"]
        self.inodes: Int32 = columns["inodes"]
        self.kinds: UInt8 = columns["kinds"]
        self.types: UInt8 = self.kinds[self.inodes]
        self.modes: UInt16 = columns["modes"]
        self.uids: Int64 = columns["uids"]
        self.gids: Int64 = columns["gids"]
        self.sizes: Int64 = columns["sizes"]
        self.mtimes: Int64 = columns["mtimes"]
        self.changes: UInt8 = columns["changes"]
        self.aspects: UInt16 = columns["aspects"]
        self.unread: Bool = columns["unread"]

    @property
    def height(self) -> int:
        """How many layers there are."""
        return len(self.changesets)

    def rows(self, layer: int) -> range:
        """The rows of a layer's entries."""
        return range(self.bases[layer], self.bases[layer + 1])

    def place(self, row: int) -> tuple[Changeset, int] | None:
        """The changeset of a version and its row there; None for an implied folder."""
        if row >= self.bases[-1]:
            return None
        layer = int(self.layers[row])
        return self.changesets[layer], row - self.bases[layer]

    def entries(self, layer: int) -> int:
        """How many entries a layer has; one for the root folder itself does not count."""
        known = self._entries
        return self.changesets[layer].entries if known is None else known[layer]

    def union(self, layer: int) -> Int32:
        """The versions visible with `layer` on top, by node; the root may be among them."""
        visible = np.flatnonzero((self.layers <= layer) & (self.hidden_by > layer))
        order = np.argsort(self.nodes[visible], kind="stable")
        return visible[order].astype(np.int32)

    def removed(self, layer: int) -> Int32:
        """The versions that the layer removed: hidden by it, with nothing at their path since."""
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
        """All versions of a path, whiteouts not among them, lowest layer first."""
        rows = np.flatnonzero(self.nodes == node)
        rows = rows[self.kinds[rows] < EntryType.WHITEOUT]
        ordered: list[int] = rows[np.argsort(self.layers[rows], kind="stable")].tolist()
        return ordered

    def link(self, row: int) -> bytes | None:
        """Target of a symlink, or, of a hard link, the path of the file it was made from."""
        place = self.place(row)
        return None if place is None else place[0].links.get(place[1])

    def device(self, row: int) -> tuple[int, int] | None:
        """Major and minor number of a device node."""
        place = self.place(int(self.inodes[row]))
        return None if place is None else place[0].devices.get(place[1])

    def xattrs(self, row: int) -> dict[bytes, bytes]:
        """Extended attributes; those of a hard link are its inode's."""
        place = self.place(int(self.inodes[row]))
        return {} if place is None else place[0].xattrs.get(place[1], {})

    def layer_size(self, layer: int) -> int:
        """Sum of the sizes of a layer's regular files, each inode once."""
        rows = self.rows(layer)
        files = self.kinds[rows.start : rows.stop] == EntryType.FILE
        return int(self.sizes[rows.start : rows.stop][files].sum())

    def counts(self, layer: int) -> dict[Change, int]:
        """How many of a layer's entries are of each kind; the root folder does not count."""
        rows = self.rows(layer)
        own = slice(rows.start, rows.stop)
        counted = (self.nodes[own] != 0) | (self.kinds[own] == EntryType.OPAQUE)
        numbers = np.bincount(self.changes[own][counted], minlength=len(Change)).tolist()
        return {change: numbers[change] for change in Change}

    def settle(self, row: int, same: bool) -> None:
        """Notes whether the content of an unread version is the same as that below.

        Args:
            row: The version.
            same: Whether the bytes are equal.
        """
        self.unread[row] = False
        if not same:
            self.changes[row] = Change.MODIFIED
            self.aspects[row] |= np.uint16(Aspect.CONTENT)
