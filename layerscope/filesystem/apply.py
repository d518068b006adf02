"""Applies layers on top of each other: the arithmetic behind `stack.Stack`.

The state is one array: the version that each node shows. For each layer, whatever its whiteouts and
non-folders hide is removed first; then its own entries are added, then missing parent folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from layerscope.errors import LayerscopeError
from layerscope.filesystem import changeset as changeset_module
from layerscope.filesystem.change import NEVER, Change
from layerscope.filesystem.changeset import Changeset, EntryType, Int16, Int32, Int64, UInt8, UInt16
from layerscope.filesystem.tree import PathTree

_Number = TypeVar("_Number", bound=np.signedinteger[Any])

#: The mode of a folder that no entry describes, as engines create it.
IMPLIED_MODE = 0o755

#: Up to this many hidden ranges are searched one by one; more, in one pass over all nodes.
_FEW = 32


class Applied:
    """The columns of a `stack.Stack`, which documents them."""

    def __init__(self, changesets: Sequence[Changeset]) -> None:
        if len(changesets) >= NEVER:
            raise LayerscopeError(f"Images with {len(changesets)} layers are not supported.")
        lengths = [len(c) for c in changesets]
        _check_number(sum(lengths))
        self.changesets = changesets
        self.tree = PathTree(
            (c.path_blob for c in changesets if len(c)), _hard_link_targets(changesets)
        )
        self.bases: list[int] = [0, *np.cumsum(lengths, dtype=np.int64).tolist()]
        total = self.bases[-1]
        self.nodes: Int32 = _join(
            [self.tree.nodes(c.path_blob, len(c)) for c in changesets], np.int32
        )
        self.kinds: UInt8 = _join([c.kinds for c in changesets], np.uint8)
        self.modes: UInt16 = _join([c.modes for c in changesets], np.uint16)
        self.uids: Int64 = _join([c.uids for c in changesets], np.int64)
        self.gids: Int64 = _join([c.gids for c in changesets], np.int64)
        self.sizes: Int64 = _join([c.sizes for c in changesets], np.int64)
        self.mtimes: Int64 = _join([c.mtimes for c in changesets], np.int64)
        self.layers: Int16 = np.repeat(np.arange(len(changesets), dtype=np.int16), lengths)
        self.hidden_by: Int16 = np.full(total, NEVER, np.int16)
        self.below: Int32 = np.full(total, -1, np.int32)
        self.inodes: Int32 = np.arange(total, dtype=np.int32)
        self.changes: UInt8 = np.full(total, Change.UNCHANGED, np.uint8)
        # The version that each node shows and, within one layer, the row of its own entry.
        self._shown: Int32 = np.full(len(self.tree), -1, np.int32)
        for layer in range(len(changesets)):
            self._apply(layer)
        self.tree.compact()

    def _apply(self, layer: int) -> None:
        rows = np.arange(self.bases[layer], self.bases[layer + 1], dtype=np.int32)
        if not len(rows):
            return
        kinds, nodes = self.kinds[rows], self.nodes[rows]
        whiteouts, opaques = rows[kinds == _WHITEOUT], rows[kinds == _OPAQUE]
        self.hidden_by[whiteouts] = layer
        self.hidden_by[opaques] = layer
        real = rows[kinds < _WHITEOUT]
        # overlayfs ignores the mark of an opaque folder on the root of a layer.
        opaques = opaques[self.nodes[opaques] != 0]
        self.below[rows] = self._shown[nodes]
        if self.changesets[layer].links:
            self._link_inodes(layer, real)
        gone, hidden = self._hide(layer, real, whiteouts, opaques)
        nodes = self.nodes[real]
        self._replace(layer, nodes, real)
        above: Int32 = self.tree.parents[nodes]
        if len(whiteouts) or len(opaques):
            above = np.concatenate([above, self._marked_folders(layer, whiteouts, opaques)])
        first = len(self.kinds)
        self._imply_folders(layer, above)
        if len(gone):
            # Nodes with an entry until now.
            implied = self.nodes[first:]
            place = np.minimum(np.searchsorted(gone, implied), len(gone) - 1)
            was = (gone[place] == implied) & (self.below[first:] < 0)
            self.below[first:][was] = hidden[place][was]
        left = gone[self._shown[gone] < 0]
        for marks, own in ((whiteouts, 0), (opaques, 1)):
            marked = self.nodes[marks]
            first = np.searchsorted(left, marked + own)
            removed = np.searchsorted(left, self.tree.ends[marked]) > first
            self.changes[marks[removed]] = Change.REMOVED

    def _hide(
        self, layer: int, real: Int32, whiteouts: Int32, opaques: Int32
    ) -> tuple[Int32, Int32]:
        """Hides what this layer removes or replaces.

        Returns the hidden nodes, sorted, and the versions that they showed.
        """
        ends = self.tree.ends
        solid = self.nodes[real[self.kinds[real] != _DIR]]
        solid = solid[ends[solid] > solid + 1]
        removed, emptied = self.nodes[whiteouts], self.nodes[opaques]
        starts = np.concatenate([removed, emptied + 1, solid + 1])
        stops = np.concatenate([ends[removed], ends[emptied], ends[solid]])
        if not len(starts):
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        covered = np.zeros(len(self.tree) + 1, np.int32)
        if len(starts) <= _FEW:
            pieces = [
                np.flatnonzero(self._shown[start:stop] >= 0) + start
                for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
            ]
            gone = distinct(np.concatenate(pieces).astype(np.int32))
        else:
            np.add.at(covered, starts, 1)
            np.add.at(covered, stops, -1)
            inside = np.cumsum(covered[:-1]) > 0
            gone = np.flatnonzero(inside & (self._shown >= 0)).astype(np.int32)
        nodes: Int32 = gone[gone != 0]
        versions: Int32 = self._shown[nodes]
        self.hidden_by[versions] = layer
        self._shown[nodes] = -1
        return nodes, versions

    def _replace(self, layer: int, nodes: Int32, rows: Int32) -> None:
        """Shows versions at nodes instead of the previous ones."""
        previous = self._shown[nodes]
        self.hidden_by[previous[previous >= 0]] = layer
        self._shown[nodes] = rows

    def _marked_folders(self, layer: int, whiteouts: Int32, opaques: Int32) -> Int32:
        """Missing folders that contain whiteouts, which engines create too.

        Those that the layer itself removes or replaces with a file stay missing.
        """
        removed = distinct(self.nodes[whiteouts])
        folders: Int32 = distinct(np.concatenate([self.tree.parents[removed], self.nodes[opaques]]))
        shown = self._shown[folders]
        folders = folders[(folders != 0) & ((shown < 0) | (self.kinds[shown] != _DIR))]
        nearest = folders
        while (unknown := (self._shown[nearest] < 0) & (nearest != 0)).any():
            nearest = np.where(unknown, self.tree.parents[nearest], nearest)
        shown = self._shown[nearest]
        solid = (shown >= 0) & (self.kinds[shown] != _DIR) & (self.layers[shown] == layer)
        folders = folders[~solid]
        if not len(folders) or not len(removed):
            return folders
        reach = np.maximum.accumulate(self.tree.ends[removed])
        before = np.searchsorted(removed, folders, "right") - 1
        away = (before >= 0) & (reach[before] > folders)
        kept: Int32 = folders[~away]
        return kept

    def _imply_folders(self, layer: int, folders: Int32) -> None:
        """Turns nodes, and those above them, into folders where they are not."""
        parents = self.tree.parents
        wanted = distinct(folders)
        found: list[Int32] = []
        while True:
            wanted = wanted[wanted != 0]
            shown = self._shown[wanted]
            lacking = wanted[(shown < 0) | (self.kinds[shown] != _DIR)]
            if not len(lacking):
                break
            found.append(lacking)
            wanted = distinct(parents[lacking])
        if found:
            self._imply(layer, distinct(np.concatenate(found)))

    def _imply(self, layer: int, nodes: Int32) -> None:
        count = len(nodes)
        first = len(self.kinds)
        _check_number(first + count)

        def extend(column: npt.NDArray[Any], value: int) -> npt.NDArray[Any]:
            return np.concatenate([column, np.full(count, value, column.dtype)])

        self.below = np.concatenate([self.below, self._shown[nodes]])
        self.nodes = np.concatenate([self.nodes, nodes])
        self.kinds = extend(self.kinds, _DIR)
        self.modes = extend(self.modes, IMPLIED_MODE)
        self.uids, self.gids = extend(self.uids, 0), extend(self.gids, 0)
        self.sizes, self.mtimes = extend(self.sizes, 0), extend(self.mtimes, 0)
        self.layers = extend(self.layers, layer)
        self.hidden_by = extend(self.hidden_by, NEVER)
        self.changes = extend(self.changes, Change.UNCHANGED)
        rows = np.arange(first, first + count, dtype=np.int32)
        self.inodes = np.concatenate([self.inodes, rows])
        self._replace(layer, nodes, rows)

    def _link_inodes(self, layer: int, real: Int32) -> None:
        """Gives hard links the inode of their target, in this layer or below.

        Engines apply the owner, mode and time in the header of a link to the inode that all its
        names share, so the last header wins; a symlink only takes the owner.
        """
        base = self.bases[layer]
        links = self.changesets[layer].links
        hard = real[self.kinds[real] == _HARDLINK].tolist()
        if not hard:
            return
        # In a pair of images, a link whose target is not in the merged view has none.
        named = [row for row in hard if row - base in links]
        targets = self.tree.nodes(b"\0".join(links[row - base] for row in named), len(named))
        nodes = self.nodes[real]
        wanted = np.isin(nodes, targets)
        own = dict(zip(nodes[wanted].tolist(), real[wanted].tolist(), strict=True))
        for row, node in zip(named, targets.tolist(), strict=True):
            if node == self.nodes[row]:
                continue
            target = own.get(node, -1)
            if target < 0 or target > row:
                target = int(self._shown[node]) if self._shown[node] >= 0 else target
            if target < 0:
                continue
            inode = int(self.inodes[target])
            if self.kinds[inode] == _DIR:
                continue
            self.inodes[row] = inode
            if inode >= base:
                self.uids[inode], self.gids[inode] = self.uids[row], self.gids[row]
                if self.kinds[inode] != EntryType.SYMLINK:
                    self.modes[inode], self.mtimes[inode] = self.modes[row], self.mtimes[row]
        rows = np.array(hard, np.int32)
        inodes = self.inodes[rows]
        for column in (self.modes, self.uids, self.gids, self.mtimes, self.sizes):
            column[rows] = column[inodes]


_HARDLINK, _DIR = int(EntryType.HARDLINK), int(EntryType.DIR)
_WHITEOUT, _OPAQUE = int(EntryType.WHITEOUT), int(EntryType.OPAQUE)


def _check_number(entries: int) -> None:
    most = changeset_module.MOST_ENTRIES
    if entries > most:
        raise LayerscopeError(
            f"The image has {entries:,} entries, implied folders included; at most {most:,} are "
            "supported.",
            "No ordinary image has that many: it may be designed to exhaust memory.",
        )


def _join(columns: Sequence[npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate([*columns, np.zeros(0, dtype)])


def _hard_link_targets(changesets: Sequence[Changeset]) -> list[bytes]:
    """Targets of hard links that may be outside the given layers."""
    targets: list[bytes] = []
    for changeset in changesets:
        if changeset.links:
            kinds = changeset.kinds
            targets += [t for row, t in changeset.links.items() if kinds[row] == _HARDLINK]
    return targets


def distinct(numbers: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Numbers from 0 up, sorted, each once.

    `np.unique` would make numpy import another part of itself.
    """
    ordered = np.sort(numbers)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=-1))]
