"""Two merged views as a stack of two layers; the second layer turns one view into the other.

This lets the difference of two images be treated like a layer: added, modified and removed paths,
sizes of folders, and the rows of a tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import Bool, Changeset, EntryType, Int32, Int64
from layerscope.filesystem.flatten import view_changeset
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.view import View, union_view

_FIRST, _SECOND = 0, 1


@dataclass(frozen=True, slots=True)
class Pair:
    stack: Stack  # The first view as layer 0; layer 1 turns it into the second.
    first: Stack
    second: Stack
    #: For each layer, each row's version in the original stack; -1 for whiteouts.
    rows: tuple[Int32, Int32]

    def source(self, row: int) -> int:
        """The version, in the first or the second stack, that a row comes from."""
        layer = int(self.stack.layers[row])
        return int(self.rows[layer][row - self.stack.bases[layer]])

    def sides(self, node: int) -> tuple[int | None, int | None]:
        """Each stack's version at a node of the pair, or None."""
        found = [self.stack.version(node, layer) for layer in (_FIRST, _SECOND)]
        one, other = (
            None if row is None or row >= self.stack.bases[-1] else self.source(row)
            for row in found
        )
        return one, other

    def unread(self) -> list[int]:
        """Rows of the second layer whose content has not been compared, changed ones first."""
        rows = np.flatnonzero(self.stack.unread)
        order = np.argsort(self.stack.changes[rows] == Change.UNCHANGED, kind="stable")
        found: list[int] = rows[order].tolist()
        return found


@dataclass(slots=True)
class PairView(View):
    """The values of a pair at each node; `sizes` are absolute differences, for sorting."""

    before: Int64  # Bytes at and below the node in the first view, each inode once.
    after: Int64  # The same in the second view.


def pair_unions(first: Stack, second: Stack, shared: Mapping[int, int] | None = None) -> Pair:
    """Pairs the merged views at the top of two stacks.

    `shared` maps layers of the second stack to the numbers of identical layers of the first.
    Changesets that are the same object need not be listed.
    """
    one, rows = _changeset(first, {})
    missing = _missing(one, second)
    other, matches = _changeset(second, missing)
    stack = Stack([one, other])
    matches = np.concatenate([matches, np.full(len(missing), -1, np.int32)])
    pair = Pair(stack, first, second, (rows, matches))
    _settle_shared(pair, shared or {})
    return pair


def pair_view(pair: Pair, *, ignore_time: bool = False) -> PairView:
    """All nodes of either view, and how the second differs.

    With `ignore_time`, nodes where only the time is known to differ are unchanged.
    """
    stack = pair.stack
    view, before = union_view(stack, _SECOND), union_view(stack, _FIRST).sizes
    if ignore_time:
        nodes = np.flatnonzero(view.changes == Change.MODIFIED)
        view.changes[nodes[only_time(stack, view.versions[nodes])]] = Change.UNCHANGED
        view.touched = stack.tree.below(view.changes != Change.UNCHANGED) > 0
    after = np.where(view.changes == Change.REMOVED, 0, view.sizes)
    rest = (view.shown, view.versions, view.changes, np.abs(after - before), view.touched)
    return PairView(stack, view.layer, *rest, before, after)


def only_time(stack: Stack, rows: Int32) -> Bool:
    """Whether each modified row of a pair's second layer is known to differ only in its time."""
    found: Bool = (stack.aspects[rows] == Aspect.MTIME) & ~stack.unread[rows]
    return found


def aspects_of(stack: Stack, row: int) -> Aspect:
    """How a row of a pair's second layer differs; if the types differ, content is left out."""
    aspects = Aspect(int(stack.aspects[row]))
    return aspects & ~Aspect.CONTENT if aspects & Aspect.TYPE else aspects


def _changeset(stack: Stack, missing: Mapping[bytes, None]) -> tuple[Changeset, Int32]:
    """A merged view as a changeset with whiteouts for `missing`, and its source rows."""
    rows = stack.union(stack.height - 1) if stack.height else np.zeros(0, np.int32)
    rows = rows[stack.nodes[rows] != 0]
    whiteouts = [EntryType.WHITEOUT] * len(missing)
    return view_changeset(stack, rows).extended([*missing], whiteouts), rows


def _missing(one: Changeset, second: Stack) -> dict[bytes, None]:
    """Paths of the first view that the second must remove, as nothing else hides them."""
    rows = second.union(second.height - 1) if second.height else np.zeros(0, np.int32)
    paths = second.tree.paths(second.nodes[rows].tolist())
    there = dict(zip(paths, (second.types[rows] == EntryType.DIR).tolist(), strict=True))
    there[b""] = True
    return {
        path: None
        for path in one.paths()
        if path not in there and there.get(path.rpartition(b"/")[0])
    }


def _settle_shared(pair: Pair, shared: Mapping[int, int]) -> None:
    """Settles files that come from the same row of the same layer."""
    stack, first, second = pair.stack, pair.first, pair.second
    rows = np.flatnonzero(stack.unread)
    if not len(rows):
        return
    same_layer = np.full(second.height, -1, np.int64)
    for layer, changeset in enumerate(second.changesets):
        twins = (i for i, other in enumerate(first.changesets) if other is changeset)
        same_layer[layer] = shared.get(layer, next(twins, -1))
    one = first.inodes[pair.rows[_FIRST][stack.inodes[stack.below[rows]]]]
    other = second.inodes[pair.rows[_SECOND][stack.inodes[rows] - stack.bases[_SECOND]]]
    layers = first.layers[one], second.layers[other]
    bases = np.asarray(first.bases), np.asarray(second.bases)
    same = (same_layer[layers[1]] == layers[0]) & (
        one - bases[0][layers[0]] == other - bases[1][layers[1]]
    )
    stack.unread[rows[same]] = False
