"""Common ends of two sequences, compared with the obvious implementation."""

from __future__ import annotations

import random

import pytest

from layerscope.content.line_matching import same_ends


def plainly(old: str, new: str) -> tuple[int, int]:
    most = min(len(old), len(new))
    head = 0
    while head < most and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return head, tail


@pytest.mark.parametrize("seed", range(300))
def test_equals_comparing_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    old = "".join(chance.choices("ab", (40, 1), k=chance.randrange(700)))
    start, end = sorted(chance.randrange(len(old) + 1) for _ in range(2))
    new = old[:start] + "".join(chance.choices("ab", k=chance.randrange(5))) + old[end:]
    assert same_ends(old, new) == plainly(old, new)
    assert same_ends(list(old), list(new)) == plainly(old, new)


def test_equal_sequences() -> None:
    assert same_ends("", "") == (0, 0)
    assert same_ends("abc" * 100, "abc" * 100) == (300, 0)
