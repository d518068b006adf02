"""The lines of a diff in styled pieces: syntax, changes within a line, and search matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style

from layerscope.content.diff_rows import CHANGED, DiffRow, DiffText, RowKind, overlaid
from layerscope.content.display import ESCAPE, Span, shown
from layerscope.content.highlight import Category
from layerscope.tui.terminal.syntax import MATCH, syntax_styles
from layerscope.tui.terminal.theme import Palette

if TYPE_CHECKING:
    from layerscope.tui.diff.work import Syntax

#: Characters of a line that are shown and searched.
_LONGEST = 20_000
_KEPT = 2000


class DiffLines:
    """The lines of both texts: side 0 is the old one, side 1 the new one."""

    def __init__(self, text: DiffText | None = None) -> None:
        self.text = text
        self.syntax: Syntax = (None, None)  # The known syntax of both.
        self.needle = ""
        self._known: dict[tuple[DiffRow, int], list[tuple[str, int]]] = {}

    def forget(self) -> None:
        """Drops rendered lines after the syntax or the search has changed."""
        self._known.clear()

    def matches(self, row: DiffRow) -> bool:
        exact = self.needle != self.needle.lower()
        lines = [self.line(row, side) for side in (0, 1) if self.has(row, side)]
        return any(self.needle in (line if exact else line.lower()) for line in lines)

    def has(self, row: DiffRow, side: int) -> bool:
        return row.kind is not RowKind.HUNK and (row.old, row.new)[side] is not None

    def line(self, row: DiffRow, side: int) -> str:
        if self.text is None:
            return ""
        number = (row.old, row.new)[side]
        if number is None:
            return ""
        return (self.text.old if side == 0 else self.text.new)(number)[:_LONGEST]

    def pieces(self, row: DiffRow, side: int) -> list[tuple[str, int]]:
        """Returns a line as pieces with categories; all are safe to show."""
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


def piece_style(colors: Palette, category: int, side: int | None) -> Style:
    """The style of a piece; `side` is 0 in a removed line, 1 in an added one, or None."""
    syntax = syntax_styles(colors)
    if category == ESCAPE:
        return syntax[ESCAPE]
    matches, changed = category & MATCH, category & CHANGED
    category &= MATCH - 1
    style = syntax.get(category, syntax[0])
    if side is not None:
        if colors.flat:
            # With few colours, the change matters more than the syntax.
            style = (colors.removed, colors.added)[side]
        if changed:
            style += (colors.removed_part, colors.added_part)[side]
    return style + Style(reverse=True) if matches else style


def _found(line: str, needle: str, category: int) -> list[Span]:
    if not needle:
        return []
    text = line if needle != needle.lower() else line.lower()
    spans: list[Span] = []
    at = text.find(needle)
    # Lower case can be longer than the original text.
    while at >= 0 and len(text) == len(line):
        spans.append((at, at + len(needle), category))
        at = text.find(needle, at + len(needle))
    return spans
