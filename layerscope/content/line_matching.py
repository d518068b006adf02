"""Finds the items that two sequences have in common, in the same order and in bounded time.

Myers' algorithm finds the shortest edit script, in time that grows with the square of the number of
differences. So it is given only a few steps; if these are not enough, items that occur once in both
sequences are used as anchors (patience diff), or else the rarest item, and the pieces between them
are examined again. When all steps are used up, the rest counts as replaced.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

#: Total steps; a million take about half a second.
MOST_STEPS = 3_000_000

#: Limits of Myers' algorithm for one piece: differences, and steps.
_MOST_EDITS = 160
_MYERS_STEPS = 200_000

#: How many items `same_ends` compares at first.
_STEP = 64

#: A run of equal items: its start in each sequence, and its length.
Run = tuple[int, int, int]


def common_runs(
    old: Sequence[Hashable], new: Sequence[Hashable], most_steps: int = MOST_STEPS
) -> tuple[list[Run], bool]:
    """The runs of common items, in order. It stops looking closely after `most_steps`."""
    numbers: dict[Hashable, int] = {}
    a = [numbers.setdefault(item, len(numbers)) for item in old]
    b = [numbers.setdefault(item, len(numbers)) for item in new]
    matcher = _Matcher(a, b, most_steps)
    matcher.match()
    return _joined(matcher.runs), matcher.steps >= 0


def same_items(old: Sequence[Hashable], new: Sequence[Hashable]) -> dict[int, int]:
    return {a + n: b + n for a, b, length in common_runs(old, new)[0] for n in range(length)}


class _Matcher:
    """Finds runs, piece by piece."""

    def __init__(self, a: list[int], b: list[int], steps: int) -> None:
        self.runs: list[Run] = []  # The runs found, unordered.
        self.steps = steps  # The steps left; below 0 it has given up.
        self._a = a
        self._b = b
        self._pieces = [(0, len(a), 0, len(b))]

    def match(self) -> None:
        while self._pieces:
            piece = self._trim(*self._pieces.pop())
            if piece is not None and self.steps >= 0:
                self._look_at(*piece)

    def _trim(self, a0: int, a1: int, b0: int, b1: int) -> tuple[int, int, int, int] | None:
        """Removes equal items at both ends; None if nothing is left on one side."""
        head, tail = same_ends(self._a[a0:a1], self._b[b0:b1])
        ends = ((a0, b0, head), (a1 - tail, b1 - tail, tail))
        self.runs += [run for run in ends if run[2]]
        a0, a1, b0, b1 = a0 + head, a1 - tail, b0 + head, b1 - tail
        return (a0, a1, b0, b1) if a0 < a1 and b0 < b1 else None

    def _look_at(self, a0: int, a1: int, b0: int, b1: int) -> None:
        a, b = self._a, self._b
        self.steps -= (a1 - a0 + b1 - b0) // 4
        both = set(a[a0:a1]).intersection(b[b0:b1])
        if not both:
            return
        # Items that only one side has cannot match.
        left = [i for i in range(a0, a1) if a[i] in both]
        right = [j for j in range(b0, b1) if b[j] in both]
        pairs = self._myers([a[i] for i in left], [b[j] for j in right])
        if pairs is not None:
            self.runs += [(left[i], right[j], 1) for i, j in pairs]
            return
        anchors = self._anchors(left, right)
        x, y = a0, b0
        for i, j in anchors:
            self.runs.append((i, j, 1))
            self._pieces.append((x, i, y, j))
            x, y = i + 1, j + 1
        self._pieces.append((x, a1, y, b1))

    def _anchors(self, left: list[int], right: list[int]) -> list[tuple[int, int]]:
        """Pairs in order: of all items that occur once in both, or one pair of the rarest item."""
        a, b = self._a, self._b
        counts_a = Counter(a[i] for i in left)
        counts_b = Counter(b[j] for j in right)
        places = {b[j]: j for j in right if counts_b[b[j]] == 1}
        unique = [(i, places[a[i]]) for i in left if counts_a[a[i]] == 1 and a[i] in places]
        if unique:
            return _increasing(unique)
        rarest = min(counts_a, key=lambda item: max(counts_a[item], counts_b[item]))
        in_a = [i for i in left if a[i] == rarest]
        in_b = [j for j in right if b[j] == rarest]
        return [(in_a[len(in_a) // 2], in_b[len(in_b) // 2])]

    def _myers(self, x: list[int], y: list[int]) -> list[tuple[int, int]] | None:
        """Pairs of the shortest edit script, or None if it is too long.

        E. W. Myers, An O(ND) Difference Algorithm and Its Variations, 1986.
        """
        n, m = len(x), len(y)
        if abs(n - m) > _MOST_EDITS:
            return None
        reached = {1: 0}
        trace: list[dict[int, int]] = []
        steps = min(_MYERS_STEPS, self.steps)
        for d in range(_MOST_EDITS + 1):
            trace.append(dict(reached))
            for k in range(-d, d + 1, 2):
                if k == -d or (k != d and reached[k - 1] < reached[k + 1]):
                    i = reached[k + 1]
                else:
                    i = reached[k - 1] + 1
                start = i
                while i < n and 0 <= i - k < m and x[i] == y[i - k]:
                    i += 1
                reached[k] = i
                steps -= i - start + 1
                if i >= n and i - k >= m:
                    self.steps -= min(_MYERS_STEPS, self.steps) - steps
                    return _walk_back(trace, n, m)
            if steps < 0:
                break
        self.steps -= min(_MYERS_STEPS, self.steps) - steps
        return None


def _walk_back(trace: list[dict[int, int]], i: int, j: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for d in range(len(trace) - 1, -1, -1):
        reached = trace[d]
        k = i - j
        down = k == -d or (k != d and reached[k - 1] < reached[k + 1])
        before = k + 1 if down else k - 1
        x = reached[before]
        y = x - before
        while i > max(x, 0) and j > max(y, 0) and i > (x if down else x + 1):
            i -= 1
            j -= 1
            pairs.append((i, j))
        i, j = x, y
    return pairs[::-1]


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence of pairs, sorted by the first, in which the second increases too."""
    tails: list[int] = []
    tops: list[int] = []
    previous: list[int] = []
    for index, (_, j) in enumerate(pairs):
        place = bisect_left(tails, j)
        previous.append(tops[place - 1] if place else -1)
        if place == len(tails):
            tails.append(j)
            tops.append(index)
        else:
            tails[place], tops[place] = j, index
    chosen: list[tuple[int, int]] = []
    at = tops[-1] if tops else -1
    while at >= 0:
        chosen.append(pairs[at])
        at = previous[at]
    return chosen[::-1]


def _joined(runs: list[Run]) -> list[Run]:
    """Runs in order, with those that are adjacent in both sequences merged."""
    result: list[Run] = []
    for a, b, length in sorted(runs):
        if result:
            last_a, last_b, last = result[-1]
            if last_a + last == a and last_b + last == b:
                result[-1] = (last_a, last_b, last + length)
                continue
        result.append((a, b, length))
    return result


def same_ends(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """The number of equal items at the beginning, and of further equal ones at the end.

    Slices are compared, not items: for 100,000 lines that takes a millisecond or two.
    """
    m, n = len(old), len(new)
    head = _reach(min(m, n), lambda a, b: old[a:b] == new[a:b])
    tail = _reach(min(m, n) - head, lambda a, b: old[m - b : m - a] == new[n - b : n - a])
    return head, tail


def _reach(most: int, same: Callable[[int, int], bool]) -> int:
    """The number of equal items, found in growing steps, then by bisection."""
    reached, step = 0, _STEP
    while reached < most:
        end = min(reached + step, most)
        if not same(reached, end):
            break
        reached, step = end, 2 * step
    else:
        return reached
    # One of these items differs.
    while end - reached > 1:
        middle = (reached + end) // 2
        if same(reached, middle):
            reached = middle
        else:
            end = middle
    return reached
