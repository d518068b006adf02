"""The rows of a diff on screen: unified, or side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from functools import partial
from itertools import accumulate, pairwise
from typing import NamedTuple

from layerscope.content.display import Span
from layerscope.content.line_diff import (
    CONTEXT,
    Block,
    LineDiff,
    changed_spans,
    hunk_header,
    hunks,
    pair_lines,
)

#: Added to the category of changed parts of a line.
CHANGED = 128

#: How a function or section begins, and how far above a hunk to look for one.
_HEADING = re.compile(rb"[A-Za-z_$\[]")
_FURTHEST = 500
_LONGEST_HEADING = 80

#: With more changed lines, corresponding ones are not looked for.
_MOST_PAIRED = 50_000


class RowKind(IntEnum):
    #: A line of both texts.
    SAME = 0
    OLD = 1
    NEW = 2
    #: Side by side: an old and a new line that differ.
    BOTH = 3
    #: The start of a hunk.
    HUNK = 4


class DiffRow(NamedTuple):
    """A row, with the numbers of its old and its new line, from 0."""

    kind: RowKind
    old: int | None
    new: int | None


class DiffText:
    """The lines of a diff as text, and which of them correspond.

    `partner` maps an old line to the new line that it was changed to.
    """

    def __init__(self, diff: LineDiff, encodings: tuple[str | None, str | None]) -> None:
        """Finds corresponding lines, which takes a while for large texts.

        UTF-16 must have been converted to UTF-8.
        """
        self.diff = diff
        self._codecs = ["latin-1" if name == "latin-1" else "utf-8" for name in encodings]
        # CRLF is only shown if it differs between lines.
        self._bare = all(line.endswith(b"\r\n") for line in (*diff.old, *diff.new))
        self.partner: dict[int, int] = {}
        left = _MOST_PAIRED
        for block in diff.blocks:
            left -= block.old_end - block.old_start + block.new_end - block.new_start
            if left < 0:
                break
            pairs = pair_lines(
                [self.old(i) for i in range(block.old_start, block.old_end)],
                [self.new(j) for j in range(block.new_start, block.new_end)],
            )
            self.partner |= {block.old_start + i: block.new_start + j for i, j in pairs}
        self._partner_of_new = {new: old for old, new in self.partner.items()}
        self._rows: dict[tuple[bool, bool], tuple[list[DiffRow], list[int]]] = {}
        self._headers = {
            (around.old_start, around.new_start): self._header(around) for around, _ in hunks(diff)
        }

    def rows(self, side: bool, whole: bool) -> tuple[list[DiffRow], list[int]]:
        """The rows, and the indices of those at which changes begin; cached."""
        known = self._rows.get((side, whole))
        if known is None:
            context = None if whole else CONTEXT
            rows = side_rows(self, context) if side else unified_rows(self.diff, context)
            known = self._rows[side, whole] = rows, _change_starts(rows)
        return known

    def old(self, number: int) -> str:
        """A line of the old text without its end; not safe to show."""
        return self._text(self.diff.old[number], self._codecs[0])

    def new(self, number: int) -> str:
        """A line of the new text without its end; not safe to show."""
        return self._text(self.diff.new[number], self._codecs[1])

    def changed(self, row: DiffRow) -> tuple[list[Span], list[Span]]:
        """The changed parts of the old and new line of a row, as spans of `CHANGED`.

        A line without a counterpart has changed as a whole, unless the other text is empty.
        """
        old, new = row.old, row.new
        if row.kind is RowKind.OLD and old is not None:
            new = self.partner.get(old)
        elif row.kind is RowKind.NEW and new is not None:
            old = self._partner_of_new.get(new)
        elif row.kind is RowKind.BOTH and old is not None and self.partner.get(old) != new:
            return self._whole(old, self.old), self._whole(new, self.new)
        if row.kind in (RowKind.SAME, RowKind.HUNK):
            return [], []
        if old is None or new is None:
            return self._whole(old, self.old), self._whole(new, self.new)
        gone, come = changed_spans(self.old(old), self.new(new))
        return [(s, e, CHANGED) for s, e in gone], [(s, e, CHANGED) for s, e in come]

    def ends_without_newline(self, row: DiffRow) -> tuple[bool, bool]:
        """Whether the old and the new line of a row are last lines without a newline."""
        lines = ((row.old, self.diff.old), (row.new, self.diff.new))
        old, new = (n is not None and not of[n].endswith(b"\n") for n, of in lines)
        return old, new

    def header(self, row: DiffRow) -> str:
        """The `@@` line of the hunk that starts at a row, with the enclosing function if found."""
        if row.old is None or row.new is None:
            return ""
        return self._headers.get((row.old, row.new), "")

    def _header(self, around: Block) -> str:
        lines = self.diff.old
        for number in range(around.old_start - 1, max(-1, around.old_start - _FURTHEST), -1):
            if _HEADING.match(lines[number]):
                return f"{hunk_header(around)} {self.old(number).strip()[:_LONGEST_HEADING]}"
        return hunk_header(around)

    def _whole(self, number: int | None, text: Callable[[int], str]) -> list[Span]:
        if number is None or not self.diff.old or not self.diff.new:
            return []
        return [(0, len(text(number)), CHANGED)]

    def _text(self, line: bytes, codec: str) -> str:
        line = line.removesuffix(b"\n")
        if self._bare:
            line = line.removesuffix(b"\r")
        return line.decode(codec, "surrogateescape")


def _change_starts(rows: list[DiffRow]) -> list[int]:
    differs = [RowKind.OLD <= row.kind <= RowKind.BOTH for row in rows]
    pairs = pairwise([False, *differs])
    return [place for place, (before, here) in enumerate(pairs) if here and not before]


def unified_rows(diff: LineDiff, context: int | None = CONTEXT) -> list[DiffRow]:
    """Rows with the old lines of each block above the new ones.

    `context` is how many lines to show around a block; None for all, without headers.
    """
    return _rows(diff, context, _one_above_the_other)


def side_rows(text: DiffText, context: int | None = CONTEXT) -> list[DiffRow]:
    """Rows with the old text on the left and the new text on the right; `context` as above."""
    return _rows(text.diff, context, partial(_beside, text))


def _one_above_the_other(block: Block) -> Iterator[DiffRow]:
    for old in range(block.old_start, block.old_end):
        yield DiffRow(RowKind.OLD, old, None)
    for new in range(block.new_start, block.new_end):
        yield DiffRow(RowKind.NEW, None, new)


def _beside(text: DiffText, block: Block) -> Iterator[DiffRow]:
    """Corresponding lines share a row; lines between two such pairs are put side by side."""
    old, new = block.old_start, block.new_start
    pairs = [(i, text.partner[i]) for i in range(old, block.old_end) if i in text.partner]
    for i, j in [*pairs, (block.old_end, block.new_end)]:
        while old < i or new < j:
            left, right = (old if old < i else None), (new if new < j else None)
            kind = RowKind.NEW if left is None else RowKind.OLD if right is None else RowKind.BOTH
            yield DiffRow(kind, left, right)
            old, new = min(old + 1, i), min(new + 1, j)
        if i < block.old_end:
            yield DiffRow(RowKind.BOTH, i, j)
            old, new = i + 1, j + 1


def _rows(
    diff: LineDiff, context: int | None, rows_of: Callable[[Block], Iterable[DiffRow]]
) -> list[DiffRow]:
    def same(start: int, end: int, new: int) -> list[DiffRow]:
        return [DiffRow(RowKind.SAME, start + i, new + i) for i in range(end - start)]

    everything = Block(0, len(diff.old), 0, len(diff.new))
    found = [(everything, diff.blocks)] if context is None else hunks(diff, context)
    rows: list[DiffRow] = []
    for around, group in found:
        if context is not None:
            rows.append(DiffRow(RowKind.HUNK, around.old_start, around.new_start))
        old, new = around.old_start, around.new_start
        for block in group:
            rows += same(old, block.old_start, new)
            rows += rows_of(block)
            old, new = block.old_end, block.new_end
        rows += same(old, around.old_end, new)
    return rows


def overlaid(spans: Sequence[Span], over: Sequence[Span], length: int) -> list[Span]:
    """Spans with others on top: where they overlap, their categories are added.

    `spans` are in order and do not overlap.
    """
    if not over:
        return list(spans)
    steps = Counter({0: 0, length: 0})
    for begin, end, category in (*spans, *over):
        steps[min(begin, length)] += category
        steps[min(end, length)] -= category
    edges = sorted(steps)
    totals = accumulate(steps[edge] for edge in edges)
    pieces = zip(pairwise(edges), totals, strict=False)
    return [(begin, end, category) for (begin, end), category in pieces if category]
