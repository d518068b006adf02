"""Which nodes of a view are rows on the screen, and in what order.

Nothing here knows of a screen: given what is expanded, filtered and hidden, the rows are an array
of nodes. It is made anew whenever one of these changes, which takes a few milliseconds for hundreds
of thousands of nodes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from enum import Enum

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import Int64
from layerscope.filesystem.globs import glob_pattern
from layerscope.filesystem.tree import Int32, PathTree
from layerscope.filesystem.view import View

Bool = npt.NDArray[np.bool_]


class SortKey(Enum):
    """What rows of one folder are sorted by."""

    NAME = "name"
    SIZE = "size"
    MTIME = "modified"
    CHANGE = "change"


class TreeRows:
    """The rows of a tree.

    Attributes:
        view: What is shown.
        nodes: The node of each row, from top to bottom; call `update` after any change.
        expanded: Whether each node is expanded.
        sort: What rows are sorted by.
        reverse: Whether the order is turned round.
        hidden: Changes that are not shown, except where something below them is.
        matches: How many nodes match the filter; None without one.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.expanded: Bool = np.zeros(len(view.stack.tree), np.bool_)
        self.expanded[0] = True
        self.sort = SortKey.NAME
        self.reverse = False
        self.hidden: set[Change] = set()
        self.matches: int | None = None
        self.nodes: Int32 = np.zeros(0, np.int32)
        self._pattern: re.Pattern[bytes] | None = None
        self._matching: Bool | None = None
        self.update()

    @property
    def tree(self) -> PathTree:
        """The tree that the rows are of."""
        return self.view.stack.tree

    def copy(self) -> TreeRows:
        """The same rows, to be changed in another thread while these are shown."""
        other = copy.copy(self)
        other.expanded = self.expanded.copy()
        other.hidden = set(self.hidden)
        return other

    def show(self, view: View, stop: Callable[[], None] = lambda: None) -> None:
        """Shows another view. What is expanded stays so, whatever numbers the nodes have in it."""
        if view.stack is not self.view.stack:
            self._carry_over(view)
        self.view = view
        self.update(stop)

    def filter(self, pattern: re.Pattern[bytes] | None) -> None:
        """Shows only nodes whose path matches, all expanded, and the folders on the way there.

        Args:
            pattern: Searched in each path (no leading slash); None shows everything.
        """
        self.pattern = pattern
        self.update()

    @property
    def pattern(self) -> re.Pattern[bytes] | None:
        """The filter; another one is searched for by the next `update`."""
        return self._pattern

    @pattern.setter
    def pattern(self, pattern: re.Pattern[bytes] | None) -> None:
        self._pattern = pattern
        self._matching = None

    def matched(self, node: int) -> bool:
        """Whether a row is a match itself, and not only on the way to one."""
        matching = self._matching
        return (
            matching is not None
            and bool(matching[node])
            and int(self.view.changes[node]) not in {int(change) for change in self.hidden}
        )

    def update(self, stop: Callable[[], None] = lambda: None) -> None:
        """Makes the rows anew.

        Args:
            stop: Called now and then; may raise, and then nothing has changed.
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

    def toggle(self, node: int) -> None:
        """Expands or collapses a node."""
        self.expanded[node] = not self.expanded[node]
        self.update()

    def expand_all(self, expanded: bool = True) -> None:
        """Expands or collapses everything."""
        self.expanded[:] = expanded
        self.expanded[0] = True
        self.update()

    def reveal(self, node: int) -> None:
        """Expands all folders above a node."""
        parent = int(self.tree.parents[node])
        while parent:
            self.expanded[parent] = True
            parent = int(self.tree.parents[parent])
        self.update()

    def row_of(self, node: int) -> int | None:
        """The row of a node, or None if it is not among the rows."""
        found = np.flatnonzero(self.nodes == node)
        return int(found[0]) if len(found) else None

    def has_children(self, node: int) -> bool:
        """Whether anything is shown below a node."""
        inside = self.view.shown[node + 1 : int(self.tree.ends[node])]
        return bool(inside.any())

    def _covered(self) -> Bool:
        """Nodes below a collapsed one."""
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
        """Rows not ordered by name: siblings change places with all that is below them."""
        if not len(nodes):
            return nodes
        tree = self.tree
        keys = self._keys(nodes)
        if self.reverse:
            keys = -keys
        places = np.arange(len(nodes))
        parents = np.searchsorted(nodes, tree.parents[nodes])
        depths = tree.depths[nodes].astype(np.int64)
        heights = np.searchsorted(nodes, tree.ends[nodes]) - places
        order = np.lexsort((places, keys, parents, depths))
        bounds = np.searchsorted(depths[order], np.arange(1, int(depths.max()) + 2))
        result = np.zeros(len(nodes), np.int64)
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            level = order[start:stop]
            above = parents[level]
            before = np.cumsum(heights[level]) - heights[level]
            first = np.searchsorted(above, above)
            top = 0 if depths[level[0]] == 1 else result[above] + 1
            result[level] = top + before - before[first]
        ordered = np.empty_like(nodes)
        ordered[result] = nodes
        return ordered

    def _carry_over(self, view: View) -> None:
        """Keeps what is expanded when more layers have arrived and made a larger tree."""
        new = view.stack.tree
        wanted = set(self.tree.paths(np.flatnonzero(self.expanded).tolist()))
        expanded = map(wanted.__contains__, new.blob.split(b"\0"))
        self.expanded = np.fromiter(expanded, np.bool_, len(new))
        self._matching = None


def filter_pattern(text: str) -> re.Pattern[bytes] | None:
    """What a user types as a filter: a part of a path, or a glob if it has `*` or `?`.

    Lower case finds both cases; a capital letter makes it exact.

    Returns:
        A pattern over paths, or None for an empty text.
    """
    raw = text.strip("/").encode("utf-8", "surrogateescape")
    if not raw:
        return None
    flags = 0 if text != text.lower() else re.IGNORECASE
    if "*" in text or "?" in text:
        return glob_pattern(text, flags)
    return re.compile(re.escape(raw), flags)
