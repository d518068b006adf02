"""The pane that shows the differences between two versions of a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.style import Style
from textual.message import Message

from layerscope.content.diff_rows import DiffRow, DiffText, RowKind
from layerscope.text import visible
from layerscope.tui.base_app import app_of
from layerscope.tui.diff.lines import DiffLines, piece_style
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import Line, cells, cut, length
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.rows.text_rows import sliced, wrapped
from layerscope.tui.terminal.glyphs import TO, VERTICAL

if TYPE_CHECKING:
    from layerscope.tui.diff.work import Syntax

#: The least width for side by side by default.
SIDE_BY_SIDE = 140
_SIDEWAYS = 8


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """A line above the diff. Its texts are safe to show."""

    name: str
    old: str | None
    new: str | None
    style: str = "text"  # The palette style of a single value.


class DiffView(RowView, screen="diff", heading="Versions and differences"):
    """A summary, then the changed lines, in one column or side by side."""

    def _wrapped(self) -> str:
        return "Long lines are wrapped: w ends that." if self.wrap else ""

    def _no_change(self) -> str:
        return "" if self.changes else "No lines differ."

    KEYS = (
        Key("diff.left", "h,left", "sideways(-1)", "Left", why_not=_wrapped),
        Key("diff.right", "l,right", "sideways(1)", "Right", why_not=_wrapped),
        *common.step_keys(
            "hunk",
            ("diff.next", "right_curly_bracket", 1, "Next change", ""),
            ("diff.previous", "left_curly_bracket", -1, "Previous change", ""),
            why_not=_no_change,
            hint="diff versions",
            group="Change",
        ),
    )

    class Arranged(Message):
        """The rows have changed with the width or the mode."""

    def __init__(self) -> None:
        super().__init__("diff")
        self.lines = DiffLines()
        #: Whether both texts are side by side; None decides by width.
        self.side: bool | None = None
        self.whole = False  # Whether to show all lines, not only those around changes.
        self.wrap = False  # Whether long lines continue in the next row.
        self.left = 0  # The first visible column of the lines.
        self._summary: Sequence[SummaryLine] = ()
        self._rows: list[DiffRow] = []
        # For each line, its row and part; None while every row has one line.
        self._layout: list[tuple[int, int]] | None = None
        self._made_for = 0
        # Row numbers.
        self._changes: list[int] = []
        self._matches: list[int] | None = None

    @property
    def text(self) -> DiffText | None:
        return self.lines.text

    @property
    def needle(self) -> str:
        return self.lines.needle

    # Contents and mode.

    def show(self, summary: Sequence[SummaryLine], text: DiffText | None) -> None:
        """Shows another diff; the text is None if the content is not text."""
        needle, self._summary = self.needle, summary
        self.lines = DiffLines(text)
        self.lines.needle = needle
        self.left = self.top = 0
        self._arrange(0)
        first = self.changes[0] if self.changes else 0
        if first < self.page_size:
            self.set_rows(self.row_count, first)

    def set_syntax(self, syntax: Syntax) -> None:
        self.lines.syntax = syntax
        self.lines.forget()
        self.redraw()

    @property
    def is_side_by_side(self) -> bool:
        if not self._two_texts:
            return False
        return self.size.width >= SIDE_BY_SIDE if self.side is None else self.side

    def set_mode(
        self, *, side: bool | None = None, whole: bool | None = None, wrap: bool | None = None
    ) -> None:
        self.side = self.side if side is None else side
        self.whole = self.whole if whole is None else whole
        if wrap is not None:
            self.wrap, self.left = wrap, 0
        self._arrange(None)

    # Finding.

    def find(self, needle: str) -> int:
        """Finds a text, case-sensitive if it has a capital letter; returns the number of rows."""
        self.lines.needle = needle
        self._matches = None
        self.lines.forget()
        self.redraw()
        return len(self.matching()) if needle else 0

    def matching(self) -> list[int]:
        """Returns the matching rows, in the cursor's numbering."""
        if self._matches is None:
            rows = self._rows if self.needle else []
            self._matches = [i for i, row in enumerate(rows) if self.lines.matches(row)]
        return [self._first_line(index) for index in self._matches]

    def go_to_match(self, step: int) -> str:
        """Goes to the next or previous matching row; returns a message for the user, or ""."""
        found = self.matching()
        if not found:
            return "Nothing matches."
        ahead = [row for row in found if (row - self.cursor) * step > 0]
        self.move_to((ahead or found)[0 if step > 0 else -1])
        return "" if ahead else f"Continued from the {'top' if step > 0 else 'bottom'}."

    # How it looks.

    def on_mount(self) -> None:
        self.wrap = app_of(self).wrap

    def on_resize(self) -> None:
        if self.size.width != self._made_for:
            self._arrange(None)
        super().on_resize()

    def cursor_span(self, width: int) -> tuple[int, int]:
        if self.text is None:
            return 0, 0
        if self.cursor < self._above:
            return 0, 1
        return 0, min(width, self._digits + 3 if self.is_side_by_side else self._gutter)

    def row(self, row: int, width: int) -> Line:
        index, part = self._layout[row] if self._layout is not None else (row, 0)
        if index < len(self._summary):
            return self._summary_line(index, width)
        index -= self._above
        if index < 0 or self.text is None:
            return []
        item = self._rows[index]
        if item.kind is RowKind.HUNK:
            return [(cut(f"  {visible(self.text.header(item))}", width), self.palette.accent)]
        if not self.is_side_by_side:
            side = 0 if item.kind is RowKind.OLD else 1
            differs = item.kind is not RowKind.SAME
            gutter = self._unified_gutter(item, part)
            return gutter + self._cells(index, side, width - length(gutter), part, differs)
        half = (width - 1) // 2
        old, new = self._half(index, 0, half, part), self._half(index, 1, width - 1 - half, part)
        return [*old, (VERTICAL, self.palette.faint), *new]

    def _summary_line(self, index: int, width: int) -> Line:
        colors = self.palette
        line = self._summary[index]
        room = min(24, max(len(each.name) for each in self._summary)) + 2
        head = (f" {cut(line.name, room - 2):{room}}", colors.muted)
        left = max(0, width - room - 1)
        if line.old is None or line.new is None:
            text = line.new if line.old is None else line.old
            return [head, (cut(text or "", left), colors.named(line.style))]
        arrow = f" {TO} "
        old = cut(line.old, max(left // 2, left - len(arrow) - len(line.new)))
        new = cut(line.new, max(0, left - cells(old) - len(arrow)))
        return [head, (old, colors.removed), (arrow, colors.muted), (new, colors.added)]

    def _unified_gutter(self, item: DiffRow, part: int) -> Line:
        numbers = self._digits
        if part:
            return [(" " * self._gutter, self.palette.faint)]
        shown = (
            (item.old, item.new)
            if self._two_texts
            else (item.old if item.new is None else item.new,)
        )
        text = "".join(
            f"{number + 1:>{numbers}} " if number is not None else " " * (numbers + 1)
            for number in shown
        )
        sign = {RowKind.OLD: "-", RowKind.NEW: "+"}.get(item.kind, " ")
        style = self._mark(item, 0 if item.kind is RowKind.OLD else 1)
        return [(text, self.palette.faint), (f"{sign} ", style)]

    def _half(self, index: int, side: int, width: int, part: int) -> Line:
        item = self._rows[index]
        number = (item.old, item.new)[side]
        differs = item.kind is not RowKind.SAME
        digits = self._digits
        if number is None:
            return [(" " * width, self.palette.text)]
        sign = "-+"[side] if differs else " "
        head = " " * (digits + 3) if part else f"{number + 1:>{digits}} {sign} "
        gutter: Line = [
            (head[: digits + 1], self.palette.faint),
            (head[digits + 1 :], self._mark(item, side)),
        ]
        line = gutter + self._cells(index, side, width - len(head), part, differs)
        return [*line, (" " * (width - length(line)), self.palette.text)]

    def _mark(self, item: DiffRow, side: int) -> Style:
        colors = self.palette
        return (colors.removed, colors.added)[side] if item.kind else colors.faint

    def _cells(self, index: int, side: int, room: int, part: int, differs: bool) -> Line:
        """Returns the visible part of a line, or of one wrapped part of it."""
        room = max(1, room)
        pieces = self.lines.pieces(self._rows[index], side)
        if self.wrap:
            parts = wrapped(pieces, room)
            pieces = parts[part] if part < len(parts) else []
        else:
            pieces = sliced(pieces, self.left, room)
        where, colors = side if differs else None, self.palette
        return [(text, piece_style(colors, kind, where)) for text, kind in pieces]

    # Keys.

    def action_hunk(self, step: int) -> None:
        ahead = [row for row in self.changes if (row - self.cursor) * step > 0]
        if ahead:
            row = ahead[0 if step > 0 else -1]
            # Leaves some lines above the change.
            self.top = max(0, min(row - self.page_size // 3, self._last_top))
            self.cursor = row
            self._keep_visible()
            self.redraw()
            self.post_message(self.Moved(self))

    def action_sideways(self, step: int) -> None:
        widest = 0
        for row in range(self.top, min(self.top + self.page_size, self.row_count)):
            index = row - self._above
            if 0 <= index < len(self._rows):
                for side in (0, 1):
                    if self.lines.has(self._rows[index], side):
                        pieces = self.lines.pieces(self._rows[index], side)
                        widest = max(widest, sum(len(text) for text, _ in pieces))
        left = max(0, min(self.left + step * _SIDEWAYS, max(widest - _SIDEWAYS, 0)))
        if step > 0:
            left = max(left, self.left)
        if left != self.left:
            self.left = left
            self.redraw()

    @property
    def changes(self) -> list[int]:
        """Returns the first row of each change, in the cursor's numbering."""
        return [self._first_line(index) for index in self._changes]

    # Rows.

    @property
    def _above(self) -> int:
        """Returns the number of rows of the summary and the blank row below."""
        return len(self._summary) + 1 if self._summary else 0

    @property
    def _two_texts(self) -> bool:
        return self.text is not None and bool(self.text.diff.old and self.text.diff.new)

    @property
    def _gutter(self) -> int:
        """The width of the line number and the sign."""
        return (self._digits + 1) * (2 if self._two_texts else 1) + 2

    @property
    def _digits(self) -> int:
        if self.text is None:
            return 1
        return len(str(max(len(self.text.diff.old), len(self.text.diff.new))))

    def _first_line(self, index: int) -> int:
        if self._layout is None:
            return self._above + index
        return self._starts[self._above + index]

    def _arrange(self, cursor: int | None) -> None:
        """Rebuilds the rows; if `cursor` is None, the cursor stays on its line of text."""
        kept = self._at_cursor() if cursor is None else None
        self._matches = None
        self._made_for = self.size.width
        self.lines.forget()
        self._rows, self._changes = [], []
        if self.text is not None:
            self._rows, self._changes = self.text.rows(self.is_side_by_side, self.whole)
        self._lay_out()
        count = self._above + len(self._rows) if self._layout is None else len(self._layout)
        self.set_rows(count, self._find_again(kept) if cursor is None else cursor)
        self.post_message(self.Arranged())

    def _lay_out(self) -> None:
        if not self.wrap or not self.size.width:
            self._layout = None
            return
        # Leaves room for the scroll bar.
        width = self.size.width - 1
        if self.is_side_by_side:
            room = [(width - 1) // 2 - self._digits - 3, width - 1 - (width - 1) // 2]
            room[1] -= self._digits + 3
        else:
            room = [width - self._gutter] * 2
        layout = [(row, 0) for row in range(self._above)]
        starts = list(range(self._above))
        for index, row in enumerate(self._rows):
            lines = 1
            for side in (0, 1):
                if not self.lines.has(row, side):
                    continue
                text = self.lines.line(row, side)
                size = max(1, room[side])
                if text.isascii() and text.isprintable():
                    lines = max(lines, -(-len(text) // size))
                else:
                    lines = max(
                        lines, len(wrapped(self.lines.pieces(self._rows[index], side), size))
                    )
            starts.append(len(layout))
            layout += [(self._above + index, part) for part in range(lines)]
        self._layout, self._starts = layout, starts

    def _at_cursor(self) -> DiffRow | None:
        if not self.row_count:
            return None
        row = self.cursor
        if self._layout is not None:
            row = self._layout[row][0] if row < len(self._layout) else 0
        index = row - self._above
        return self._rows[index] if 0 <= index < len(self._rows) else None

    def _find_again(self, kept: DiffRow | None) -> int:
        """Returns the line that now shows what was under the cursor."""
        if kept is None:
            return 0
        for index, row in enumerate(self._rows):
            if (kept.old is not None and row.old == kept.old) or (
                kept.new is not None and row.new == kept.new
            ):
                return self._first_line(index)
        return 0
