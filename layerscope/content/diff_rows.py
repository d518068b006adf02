"""The rows in which a diff is shown: one text below the other, or side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
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

#: Added to the category of what has changed within a line.
CHANGED = 128

#: What a function or a section begins with; and how far above a hunk that is looked for.
_HEADING = re.compile(rb"[A-Za-z_$\[]")
_FURTHEST = 500
_LONGEST_HEADING = 80

#: Beyond so many lines, those that correspond are not looked for.
_MOST_PAIRED = 50_000


class RowKind(IntEnum):
    """What a row shows."""

    #: A line that both have.
    SAME = 0
    #: A line of the old text alone.
    OLD = 1
    #: A line of the new text alone.
    NEW = 2
    #: Side by side: lines of both that differ.
    BOTH = 3
    #: Where a hunk begins.
    HUNK = 4


class DiffRow(NamedTuple):
    """A row.

    Attributes:
        kind: What it shows.
        old: The number of the old line, from 0; None without one.
        new: The number of the new line, likewise.
    """

    kind: RowKind
    old: int | None
    new: int | None


class DiffText:
    """The lines of a diff as text, and what corresponds in them.

    Attributes:
        diff: The lines and blocks.
        partner: For each old line that is a new one with a change, that one.
    """

    def __init__(self, diff: LineDiff, encodings: tuple[str | None, str | None]) -> None:
        """Finds lines that correspond; of large texts that takes a while.

        Args:
            diff: What differs.
            encodings: How both texts are encoded; UTF-16 must have become UTF-8.
        """
        self.diff = diff
        self._codecs = ["latin-1" if name == "latin-1" else "utf-8" for name in encodings]
        # Where every line ends so, it says nothing.
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
        """The rows, and the places of those with which changes begin; made once.

        Args:
            side: Whether both texts are beside each other.
            whole: Whether all lines are shown.
        """
        known = self._rows.get((side, whole))
        if known is None:
            context = None if whole else CONTEXT
            rows = side_rows(self, context) if side else unified_rows(self.diff, context)
            known = self._rows[side, whole] = rows, _change_starts(rows)
        return known

    def old(self, number: int) -> str:
        """A line of the old text, without its end; not safe to show."""
        return self._text(self.diff.old[number], self._codecs[0])

    def new(self, number: int) -> str:
        """A line of the new text, without its end; not safe to show."""
        return self._text(self.diff.new[number], self._codecs[1])

    def changed(self, row: DiffRow) -> tuple[list[Span], list[Span]]:
        """What has changed within the lines of a row, as spans of `CHANGED`.

        A line that has no counterpart has changed as a whole, unless there is no other text.
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
        """Whether the old and the new line of a row are last ones that have no end."""
        lines = ((row.old, self.diff.old), (row.new, self.diff.new))
        old, new = (n is not None and not of[n].endswith(b"\n") for n, of in lines)
        return old, new

    def header(self, row: DiffRow) -> str:
        """The `@@` line of the hunk that a row begins, and what it is in, as far as that shows."""
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
    starts: list[int] = []
    inside = False
    for place, (kind, _, _) in enumerate(rows):
        differs = RowKind.OLD <= kind <= RowKind.BOTH
        if differs and not inside:
            starts.append(place)
        inside = differs
    return starts


def unified_rows(diff: LineDiff, context: int | None = CONTEXT) -> list[DiffRow]:
    """Rows with the old lines of each block above the new ones.

    Args:
        diff: What differs.
        context: Lines to show around a block; None for all, and no headers.
    """

    def block_rows(block: Block) -> Iterator[DiffRow]:
        for old in range(block.old_start, block.old_end):
            yield DiffRow(RowKind.OLD, old, None)
        for new in range(block.new_start, block.new_end):
            yield DiffRow(RowKind.NEW, None, new)

    return _rows(diff, context, [list(block_rows(block)) for block in diff.blocks])


def side_rows(text: DiffText, context: int | None = CONTEXT) -> list[DiffRow]:
    """Rows with the old text at the left and the new one at the right.

    Args:
        text: What differs.
        context: Lines to show around a block; None for all, and no headers.
    """
    return _rows(text.diff, context, [list(_beside(text, block)) for block in text.diff.blocks])


def _beside(text: DiffText, block: Block) -> Iterator[DiffRow]:
    """Lines that correspond share a row; what is between two such pairs shares what there is."""
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


def _rows(diff: LineDiff, context: int | None, blocks: Sequence[list[DiffRow]]) -> list[DiffRow]:
    def same(start: int, end: int, new: int) -> list[DiffRow]:
        return [DiffRow(RowKind.SAME, start + i, new + i) for i in range(end - start)]

    whole = context is None
    found = hunks(diff, CONTEXT if context is None else context)
    if whole:
        everything = Block(0, len(diff.old), 0, len(diff.new))
        found = iter([(everything, diff.blocks)])
    rows: list[DiffRow] = []
    index = 0
    for around, group in found:
        if not whole:
            rows.append(DiffRow(RowKind.HUNK, around.old_start, around.new_start))
        old, new = around.old_start, around.new_start
        for block in group:
            rows += same(old, block.old_start, new)
            rows += blocks[index]
            index += 1
            old, new = block.old_end, block.new_end
        rows += same(old, around.old_end, new)
    return rows


def overlaid(spans: Sequence[Span], over: Sequence[Span], length: int) -> list[Span]:
    """Spans with others on top: where both are, their categories are added.

    Args:
        spans: Parts in order that do not overlap.
        over: The same.
        length: Where the line ends.
    """
    if not over:
        return list(spans)
    edges = {0, length}
    for begin, end, _ in (*spans, *over):
        edges |= {min(begin, length), min(end, length)}
    ordered = sorted(edges)
    result: list[Span] = []
    places = [0, 0]
    for begin, end in pairwise(ordered):
        category = 0
        for which, parts in enumerate((spans, over)):
            while places[which] < len(parts) and parts[places[which]][1] <= begin:
                places[which] += 1
            at = places[which]
            if at < len(parts) and parts[at][0] <= begin:
                category += parts[at][2]
        if category:
            result.append((begin, end, category))
    return result
