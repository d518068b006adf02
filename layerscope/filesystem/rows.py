"""The nodes of a view that are rows on the screen, in order.

The rows are an array of nodes, computed from the expanded folders and the filters in a few
milliseconds for hundreds of thousands of nodes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from enum import Enum

import numpy as np

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import Bool, Int32, Int64, Intp
from layerscope.filesystem.tree import PathTree
from layerscope.filesystem.view import View
from layerscope.patterns import PathPattern


class SortKey(Enum):
    NAME = "name"
    SIZE = "size"
    MTIME = "modified"
    CHANGE = "change"


class TreeRows:
    def __init__(self, view: View) -> None:
        self.view = view
        self.expanded: Bool = np.zeros(len(view.stack.tree), np.bool_)
        self.expanded[0] = True
        self.sort = SortKey.NAME
        self.reverse = False
        self.hidden: set[Change] = set()  # Changes that are shown only above others.
        self.matches: int | None = None  # The number of nodes that match the filter, if any.
        #: The node of each row, from top to bottom; `update` refreshes them.
        self.nodes: Int32 = np.zeros(0, np.int32)
        self._pattern: PathPattern | None = None
        self._matching: Bool | None = None
        self.update()

    @property
    def tree(self) -> PathTree:
        return self.view.stack.tree

    def copy(self) -> TreeRows:
        """A copy that another thread may change while this one is shown."""
        other = copy.copy(self)
        other.expanded = self.expanded.copy()
        other.hidden = set(self.hidden)
        return other

    def show(self, view: View, stop: Callable[[], None] = lambda: None) -> None:
        """Shows another view; folders stay expanded, even if node numbers change."""
        if view.stack is not self.view.stack:
            self._carry_over(view)
        self.view = view
        self.update(stop)

    @property
    def pattern(self) -> PathPattern | None:
        """The pattern that the path of a row, or of one below it, must match; None shows all.

        A new pattern applies after the next `update`.
        """
        return self._pattern

    @pattern.setter
    def pattern(self, pattern: PathPattern | None) -> None:
        self._pattern = pattern
        self._matching = None

    def matched(self, node: int) -> bool:
        """Whether a row matches itself, and is not only a folder above a match."""
        matching = self._matching
        return (
            matching is not None
            and bool(matching[node])
            and int(self.view.changes[node]) not in {int(change) for change in self.hidden}
        )

    def update(self, stop: Callable[[], None] = lambda: None) -> None:
        """Computes the rows.

        `stop` is called repeatedly; if it raises, nothing changes.
        """
        tree, view = self.tree, self.view
        if self._pattern is not None and self._matching is None:
            self._matching = tree.search(self._pattern, stop)
        stop()
        kept = view.shown
        if self.hidden:
            seen = np.array([change not in self.hidden for change in Change])
            kept = kept & seen[view.changes]
        self.matches = None
        if self._matching is not None:
            kept = kept & self._matching
            self.matches = int(kept.sum())
        if kept is not view.shown:
            kept = kept | (tree.below(kept) > 0)
            kept[0] = False
        if self._matching is None:
            kept = kept & ~self._covered()
        nodes = np.flatnonzero(kept).astype(np.int32)
        if self.sort is not SortKey.NAME or self.reverse:
            nodes = self._sorted(nodes)
        self.nodes = nodes

    def reveal(self, node: int) -> None:
        self.open_above(node)
        self.update()

    def open_above(self, node: int) -> None:
        """Expands the folders above a node at the next `update`."""
        parent = int(self.tree.parents[node])
        while parent:
            self.expanded[parent] = True
            parent = int(self.tree.parents[parent])

    def row_of(self, node: int) -> int | None:
        """The row of a node, or None."""
        found = np.flatnonzero(self.nodes == node)
        return int(found[0]) if len(found) else None

    def has_children(self, node: int) -> bool:
        inside = self.view.shown[node + 1 : int(self.tree.ends[node])]
        return bool(inside.any())

    def _covered(self) -> Bool:
        tree = self.tree
        collapsed = np.flatnonzero(~self.expanded & (tree.ends > np.arange(len(tree)) + 1))
        marks = np.zeros(len(tree) + 1, np.int32)
        marks[collapsed + 1] += 1
        np.subtract.at(marks, tree.ends[collapsed], 1)
        covered: Bool = np.cumsum(marks[:-1]) > 0
        return covered

    def _keys(self, nodes: Int32) -> Int64:
        view = self.view
        if self.sort is SortKey.SIZE:
            return -view.sizes[nodes]
        if self.sort is SortKey.CHANGE:
            rank = np.array([3, 0, 1, 2], np.int64)
            return rank[view.changes[nodes]]
        if self.sort is SortKey.MTIME:
            versions = view.versions[nodes]
            return -np.where(versions >= 0, view.stack.mtimes[versions], 0)
        return nodes.astype(np.int64)

    def _sorted(self, nodes: Int32) -> Int32:
        """Sorts by a key other than the name: siblings move with everything below them."""
        count = len(nodes)
        if not count:
            return nodes
        tree = self.tree
        keys = self._keys(nodes)
        if self.reverse:
            keys = -keys
        # The number of rows before each node of the tree.
        before = np.zeros(len(tree) + 1, np.int64)
        before[nodes + 1] = 1
        np.cumsum(before, out=before)
        parents = before[tree.parents[nodes] + 1] - 1  # The root, which is no row, is -1.
        stops = before[tree.ends[nodes]]
        heights = stops - np.arange(count)
        order = _by_group(parents, keys)
        # The number of rows that the siblings before each one take.
        shifts = np.cumsum(heights[order]) - heights[order]
        above = parents[order]
        first = np.flatnonzero(np.diff(above, prepend=-2))
        shifts -= np.repeat(shifts[first], np.diff(first, append=count))
        # A row is one below its parent and these; the same holds for the parent, up to the root.
        places = np.zeros(count + 1, np.int64)
        places[order] = shifts + 1
        np.subtract.at(places, stops, places[:-1].copy())
        ordered = np.empty_like(nodes)
        ordered[np.cumsum(places[:-1]) - 1] = nodes
        return ordered

    def _carry_over(self, view: View) -> None:
        """Keeps folders expanded after more layers have enlarged the tree."""
        new = view.stack.tree
        wanted = set(self.tree.paths(np.flatnonzero(self.expanded).tolist()))
        expanded = map(wanted.__contains__, new.blob.split(b"\0"))
        self.expanded = np.fromiter(expanded, np.bool_, len(new))
        self._matching = None


def _by_group(groups: Int64, keys: Int64) -> Intp:
    """The order by group, which may be -1, and by key within each; equal ones stay in order."""
    order = np.argsort(groups, kind="stable")
    low, high = int(keys.min()), int(keys.max())
    width = high - low + 1
    if (int(groups.max()) + 2) * width >= 1 << 63:
        return np.lexsort((keys, groups))
    # One number for both sorts takes a third of the time, as groups stay where they are.
    joined = (groups[order] + 1) * width + (keys[order] - low)
    by_key: Intp = order[np.argsort(joined, kind="stable")]
    return by_key
