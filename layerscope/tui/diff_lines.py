"""The lines of a diff in pieces: their syntax, what changed in them, and what a search found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.content.diff_rows import DiffRow, DiffText, RowKind, overlaid
from layerscope.content.display import Span, shown
from layerscope.content.highlight import Category
from layerscope.tui.syntax import MATCH

if TYPE_CHECKING:
    from layerscope.tui.diff_job import Syntax

#: More of a line can neither be seen nor searched.
_LONGEST = 20_000
_KEPT = 2000


class DiffLines:
    """The lines of both texts; the old one is side 0, the new one side 1.

    Attributes:
        text: What differs; None where there are no lines.
        syntax: What is known of the lines' syntax.
        needle: What is searched for; empty for nothing.
    """

    def __init__(self, text: DiffText | None = None) -> None:
        self.text = text
        self.syntax: Syntax = (None, None)
        self.needle = ""
        self._known: dict[tuple[DiffRow, int], list[tuple[str, int]]] = {}

    def forget(self) -> None:
        """Makes lines anew: more is known of the syntax, or something else is searched for."""
        self._known.clear()

    def matches(self, row: DiffRow) -> bool:
        """Whether a row has what is searched for."""
        exact = self.needle != self.needle.lower()
        lines = [self.line(row, side) for side in (0, 1) if self.has(row, side)]
        return any(self.needle in (line if exact else line.lower()) for line in lines)

    def has(self, row: DiffRow, side: int) -> bool:
        """Whether a row shows a line of one of the texts."""
        return row.kind is not RowKind.HUNK and (row.old, row.new)[side] is not None

    def line(self, row: DiffRow, side: int) -> str:
        """A line, without its end; not safe to show."""
        if self.text is None:
            return ""
        number = (row.old, row.new)[side]
        if number is None:
            return ""
        return (self.text.old if side == 0 else self.text.new)(number)[:_LONGEST]

    def pieces(self, row: DiffRow, side: int) -> list[tuple[str, int]]:
        """A line in pieces that are safe to show, each with its category."""
        known = self._known.get((row, side))
        if known is not None:
            return known
        if self.text is None:
            return []
        line = self.line(row, side)
        number = (row.old, row.new)[side]
        syntax = self.syntax[side]
        spans = syntax[number] if syntax is not None and number is not None else []
        spans = overlaid(spans, self.text.changed(row)[side], len(line))
        spans = overlaid(spans, _found(line, self.needle, MATCH), len(line))
        pieces = shown(line, spans)
        if self.text.ends_without_newline(row)[side]:
            pieces.append(("  no newline at end", int(Category.COMMENT)))
        if len(self._known) > _KEPT:
            self._known.clear()
        self._known[row, side] = pieces
        return pieces


def _found(line: str, needle: str, category: int) -> list[Span]:
    """Where a line matches."""
    if not needle:
        return []
    text = line if needle != needle.lower() else line.lower()
    spans: list[Span] = []
    at = text.find(needle)
    # Lower case can be longer than what it was made of.
    while at >= 0 and len(text) == len(line):
        spans.append((at, at + len(needle), category))
        at = text.find(needle, at + len(needle))
    return spans
