"""Which items two sequences have in common and in the same order, in bounded time.

Myers' algorithm finds the shortest way from one to the other, in time that grows with the square of
how much they differ. So it is given a few steps only; where these are not enough, items that occur
once in both are taken as anchors (patience diff), or else the rarest one, and what lies between is
looked at again. When all steps are used up, what is left counts as replaced.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence

#: Steps in all; a million take about half a second.
MOST_STEPS = 3_000_000

#: How many differences Myers' algorithm may find in one piece, and how many steps it may take.
_MOST_EDITS = 160
_MYERS_STEPS = 200_000

#: A run of equal items: where it begins in each sequence, and how long it is.
Run = tuple[int, int, int]


def common_runs(
    old: Sequence[Hashable], new: Sequence[Hashable], most_steps: int = MOST_STEPS
) -> tuple[list[Run], bool]:
    """The runs of items that stay, in order.

    Args:
        old: One sequence.
        new: The other.
        most_steps: When to give up looking closely.

    Returns:
        The runs, none of which touches the next in both sequences, and whether it was not given up.
    """
    numbers: dict[Hashable, int] = {}
    a = [numbers.setdefault(item, len(numbers)) for item in old]
    b = [numbers.setdefault(item, len(numbers)) for item in new]
    matcher = _Matcher(a, b, most_steps)
    matcher.match()
    return _joined(matcher.runs), matcher.steps >= 0


class _Matcher:
    """Finds runs, piece by piece.

    Attributes:
        runs: What was found, in no order.
        steps: How many steps are left; below 0 it has given up.
    """

    def __init__(self, a: list[int], b: list[int], steps: int) -> None:
        self.runs: list[Run] = []
        self.steps = steps
        self._a = a
        self._b = b
        self._pieces = [(0, len(a), 0, len(b))]

    def match(self) -> None:
        while self._pieces:
            piece = self._trim(*self._pieces.pop())
            if piece is not None and self.steps >= 0:
                self._look_at(*piece)

    def _trim(self, a0: int, a1: int, b0: int, b1: int) -> tuple[int, int, int, int] | None:
        """Takes off what is equal at both ends; None if nothing is left on one side."""
        a, b = self._a, self._b
        start = a0
        while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
            a0 += 1
            b0 += 1
        if a0 > start:
            self.runs.append((start, b0 - (a0 - start), a0 - start))
        end = a1
        while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
            a1 -= 1
            b1 -= 1
        if a1 < end:
            self.runs.append((a1, b1, end - a1))
        return (a0, a1, b0, b1) if a0 < a1 and b0 < b1 else None

    def _look_at(self, a0: int, a1: int, b0: int, b1: int) -> None:
        a, b = self._a, self._b
        self.steps -= (a1 - a0 + b1 - b0) // 4
        both = set(a[a0:a1]).intersection(b[b0:b1])
        if not both:
            return
        # What only one side has cannot match, and is left out.
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
    """The longest choice of pairs, sorted by the first, in which the second grows too."""
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
    """Runs in order, those that touch in both sequences made one."""
    result: list[Run] = []
    for a, b, length in sorted(runs):
        if result:
            last_a, last_b, last = result[-1]
            if last_a + last == a and last_b + last == b:
                result[-1] = (last_a, last_b, last + length)
                continue
        result.append((a, b, length))
    return result
