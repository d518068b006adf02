"""What two versions of something have in common at their ends: most edits are in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

#: Items that are compared at first.
_STEP = 64


def same_ends(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """How many items are the same at the beginning, and how many at the end.

    Slices are compared, not items: of 100,000 lines that takes a millisecond or two.

    Args:
        old: A text, or a list.
        new: One of the same kind.

    Returns:
        Both numbers; together they are at most the length of the shorter one.
    """
    m, n = len(old), len(new)
    head = _reach(min(m, n), lambda a, b: old[a:b] == new[a:b])
    tail = _reach(min(m, n) - head, lambda a, b: old[m - b : m - a] == new[n - b : n - a])
    return head, tail


def _reach(most: int, same: Callable[[int, int], bool]) -> int:
    """How far it is all the same: in growing steps, and then nearer and nearer."""
    reached, step = 0, _STEP
    while reached < most:
        end = min(reached + step, most)
        if not same(reached, end):
            break
        reached, step = end, 2 * step
    else:
        return reached
    # An item of these differs.
    while end - reached > 1:
        middle = (reached + end) // 2
        if same(reached, middle):
            reached = middle
        else:
            end = middle
    return reached
