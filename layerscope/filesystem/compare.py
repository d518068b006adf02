"""Compares the unions of two stacks, path by path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.pair import Pair, aspects_of, pair_unions
from layerscope.filesystem.stack import Stack

#: Says of pairs of regular files of the same size, in their order, whether they have the same
#: content; None if nobody can tell.
SameContents = Callable[[Sequence[tuple[int, int]]], Iterable[bool | None]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that is not the same in two images.

    Attributes:
        path: The path, without slash in front.
        change: Added: only in the second; removed: only in the first; or modified.
        aspects: In what it differs, if it was modified.
        first: Row in the first stack, or None.
        second: Row in the second stack, or None.
        content_known: Whether CONTENT in `aspects` is certain.
    """

    path: bytes
    change: Change
    aspects: Aspect
    first: int | None
    second: int | None
    content_known: bool


def compare_unions(
    first: Stack,
    second: Stack,
    same_contents: SameContents,
    shared: Mapping[int, int] | None = None,
) -> list[Difference]:
    """What differs between the unions at the top of two stacks, by path.

    Args:
        first: One stack.
        second: The other.
        same_contents: Asked once, for all files of equal size that do not come from the same
            layer.
        shared: As for `pair_unions`.
    """
    pair = pair_unions(first, second, shared)
    rows = pair.unread()
    asked = [(pair.source(int(pair.stack.below[row])), pair.source(row)) for row in rows]
    for row, same in zip(rows, same_contents(asked), strict=True):
        if same is not None:
            pair.stack.settle(row, same)
    return differences(pair)


def differences(pair: Pair) -> list[Difference]:
    """What differs in a pair, by path."""
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
