"""Compares the merged views of two stacks, path by path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.pair import Pair, aspects_of, pair_unions
from layerscope.filesystem.stack import Stack

#: For pairs of regular files of equal size, in order, whether they have the same content; None if
#: unknown.
SameContents = Callable[[Sequence[tuple[int, int]]], Iterable[bool | None]]


@dataclass(frozen=True, slots=True)
class Difference:
    path: bytes  # Without a leading slash.
    change: Change  # Added: only in the second; removed: only in the first; or modified.
    aspects: Aspect  # How it differs, if it was modified.
    first: int | None  # Row in the first stack, or None.
    second: int | None  # Row in the second stack, or None.
    content_known: bool  # Whether CONTENT in `aspects` is certain.

    @property
    def only_time(self) -> bool:
        """Whether only its time is known to differ."""
        return self.aspects == Aspect.MTIME and self.content_known


def compare_unions(
    first: Stack,
    second: Stack,
    same_contents: SameContents,
    shared: Mapping[int, int] | None = None,
) -> list[Difference]:
    """The differences between the merged views of two stacks, by path.

    `same_contents` is called once, for all files of equal size that are not from the same layer.
    `shared` is the same as for `pair_unions`.
    """
    pair = pair_unions(first, second, shared)
    rows = pair.unread()
    asked = [(pair.source(int(pair.stack.below[row])), pair.source(row)) for row in rows]
    for row, same in zip(rows, same_contents(asked), strict=True):
        if same is not None:
            pair.stack.settle(row, same)
    return differences(pair)


def with_hard_links(
    first: Stack, second: Stack, found: Sequence[Difference]
) -> Sequence[Difference]:
    """Adds paths that are hard links to one file in only one of the two views.

    The other differences are those `found`.
    """
    changes = {each.path: each for each in found}
    one, other = _hard_links(first), _hard_links(second)
    more = {}
    for path in one.keys() | other.keys():
        change = changes.get(path)
        if change is not None and change.change is not Change.MODIFIED:
            continue
        # Names that only one of the views has are differences themselves.
        names = [
            {name for name in side.get(path, ()) if name not in changes or _in_both(changes[name])}
            for side in (one, other)
        ]
        if names[0] - {path} != names[1] - {path}:
            more[path] = change or _at(first, second, path)
    if not more:
        return found
    marked = {
        path: replace(each, aspects=each.aspects | Aspect.HARDLINKS) for path, each in more.items()
    }
    return sorted((changes | marked).values(), key=lambda each: each.path.split(b"/"))


def _in_both(change: Difference) -> bool:
    return change.change is Change.MODIFIED


def _hard_links(stack: Stack) -> dict[bytes, set[bytes]]:
    """Files that are visible under several names: all names of each, by each name."""
    rows = stack.union(stack.height - 1)
    rows = rows[stack.types[rows] != EntryType.DIR]
    _, which, counts = np.unique(stack.inodes[rows], return_inverse=True, return_counts=True)
    linked = counts[which] > 1
    found: dict[int, set[bytes]] = {}
    paths = stack.tree.paths(stack.nodes[rows[linked]].tolist())
    for path, inode in zip(paths, which[linked].tolist(), strict=True):
        found.setdefault(inode, set()).add(path)
    return {path: names for names in found.values() for path in names}


def _at(first: Stack, second: Stack, path: bytes) -> Difference:
    """A path in both views, without differences yet."""
    rows = []
    for stack in (first, second):
        node = stack.tree.find(path)
        rows.append(None if node is None else stack.version(node, stack.height - 1))
    return Difference(path, Change.MODIFIED, Aspect(0), rows[0], rows[1], True)


def differences(pair: Pair) -> list[Difference]:
    stack = pair.stack
    own = np.arange(stack.bases[1], stack.bases[2])
    changed = own[np.isin(stack.changes[own], (Change.ADDED, Change.MODIFIED))]
    rows = np.concatenate([changed, stack.removed(1)])
    rows = rows[np.argsort(stack.nodes[rows], kind="stable")]
    paths = stack.tree.paths(stack.nodes[rows].tolist())
    return [_difference(pair, path, row) for path, row in zip(paths, rows.tolist(), strict=True)]


def _difference(pair: Pair, path: bytes, row: int) -> Difference:
    stack = pair.stack
    if stack.layers[row] == 0:
        return Difference(path, Change.REMOVED, Aspect(0), pair.source(row), None, True)
    if stack.changes[row] == Change.ADDED:
        return Difference(path, Change.ADDED, Aspect(0), None, pair.source(row), True)
    below = pair.source(int(stack.below[row]))
    known = not bool(stack.unread[row])
    return Difference(path, Change.MODIFIED, aspects_of(stack, row), below, pair.source(row), known)
