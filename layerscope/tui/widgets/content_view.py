"""The pane that shows a file: facts above, then its lines, or its bytes in hexadecimal."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from layerscope.tui.content_rows import HexRows, Piece, Rows, TextRows, sliced, wrapped
from layerscope.tui.format import Line, cut, length
from layerscope.tui.strips import strip_of, thumb_cell
from layerscope.tui.syntax import syntax_styles
from layerscope.tui.widgets.row_view import RowView

_WHEEL = 3
_SIDEWAYS = 8

#: A row of many lines is wrapped as far as this.
_MOST_LINES = 2000


class ContentView(RowView):
    """Rows that can be scrolled in every direction, wrapped, and searched.

    Attributes:
        rows: What is shown; None before there is anything.
        facts: What is told above it, as titles and texts that are safe to show.
        left: The first column that is visible.
        wrap: Whether long rows go on in the next line.
        numbers: Whether lines are numbered.
        sub: Of the row at the top, how many lines are above.
    """

    HAS_CURSOR = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "sideways(-1)", "Left", id="content.left", show=False),
        Binding("l,right", "sideways(1)", "Right", id="content.right", show=False),
    ]

    class Scrolled(Message):
        """Other rows are visible."""

        def can_replace(self, message: Message) -> bool:
            """Only the last place counts."""
            return isinstance(message, ContentView.Scrolled)

    class EndWanted(Message):
        """The user wants to see the end, which may not be known yet."""

    def __init__(self) -> None:
        super().__init__("content")
        self.rows: Rows | None = None
        self.facts: list[tuple[str, str]] = []
        self.left = 0
        self.wrap = False
        self.numbers = True
        self.sub = 0
        self._wrapped: dict[int, list[list[Piece]]] = {}
        self._wrapped_for = 0

    # What it is told.

    def show(self, rows: Rows | None, facts: list[tuple[str, str]]) -> None:
        """Shows other rows, or more of them; the view stays where it is as far as it can."""
        above = self.prelude
        known = self.rows is rows
        self.rows, self.facts = rows, facts
        if known and self.top >= above and above != self.prelude and self.top:
            self.top += self.prelude - above
        if not known:
            self.sub = 0
        self._wrapped.clear()
        self.set_rows(self.prelude + (rows.count if rows is not None else 0))

    def update(self) -> None:
        """Shows what has become of the rows: more of them, colours, matches."""
        self._wrapped.clear()
        count = self.prelude + (self.rows.count if self.rows is not None else 0)
        if count != self.row_count:
            self.set_rows(count)
        else:
            self.redraw()

    def on_mount(self) -> None:
        """Begins as the settings have it."""
        self.wrap = getattr(self.app, "wrap", False)
        self.numbers = getattr(self.app, "line_numbers", True)

    def set_wrap(self, wrap: bool) -> None:
        """Wraps long rows, or not."""
        self.wrap, self.left, self.sub = wrap, 0, 0
        self._wrapped.clear()
        self.redraw()

    @property
    def prelude(self) -> int:
        """How many rows the facts take, with a blank one behind them."""
        return len(self.facts) + 1 if self.facts else 0

    @property
    def visible_rows(self) -> tuple[int, int]:
        """The first and the last row of the content that are visible; (0, -1) if none is."""
        if self.rows is None:
            return 0, -1
        if not self.wrap:
            last = min(self.row_count, self.top + self.page_size) - 1
        else:
            lines = self._layout()
            last = lines[-1][0] if lines else -1
        return max(0, self.top - self.prelude), last - self.prelude

    def go_to(self, row: int, column: int = 0, *, context: int = 0) -> None:
        """Scrolls so that a row of the content is visible.

        Args:
            row: The row.
            column: A column that is to be visible too.
            context: How many rows are to be above it, if it was not visible before.
        """
        first, last = self.visible_rows
        inner = self._inner_width()
        if not first <= row <= last or row == last:
            self.sub = 0
            self._place(max(0, row + self.prelude - context), 0)
        if not self.wrap and not self.left <= column < self.left + inner - 8:
            self.left = max(0, column - inner // 2) if column >= inner - 8 else 0
        self.redraw()
        self.post_message(self.Scrolled())

    # How it looks.

    def row(self, row: int, width: int) -> Line:
        """A fact, or a row of the content from the first visible column on."""
        if row < self.prelude:
            return self._fact(row, width)
        if self.rows is None:
            return []
        number = row - self.prelude
        gutter = self._gutter(number, 0)
        room = max(1, width - length(gutter))
        return gutter + self._styled(sliced(self.rows.pieces(number), self.left, room))

    def _content_line(self, y: int) -> Strip:
        if not self.wrap or not self.row_count:
            return super()._content_line(y)
        width = self.size.width
        thumb = thumb_cell(y, self.page_size, self.row_count, self.top)
        inner = width - 1 if thumb else width
        lines = self._layout()
        line: Line = []
        if y < len(lines):
            row, sub = lines[y]
            if row < self.prelude or self.rows is None:
                line = self._fact(row, inner)
            else:
                number = row - self.prelude
                line = self._gutter(number, sub) + self._styled(self._lines_of(row)[sub])
        strip = strip_of(line, inner)
        return Strip([*strip, Segment(thumb, self.ink.faint)], width) if thumb else strip

    def _fact(self, row: int, width: int) -> Line:
        if row >= len(self.facts):
            return []
        colors = self.ink
        title, text = self.facts[row]
        room = max(len(name) for name, _ in self.facts) + 2
        return [
            (f" {title:{room}}", colors.muted),
            (cut(text, max(0, width - room - 1)), colors.text),
        ]

    def _gutter(self, number: int, sub: int) -> Line:
        if self.rows is None or (isinstance(self.rows, TextRows) and not self.numbers):
            return []
        text = self.rows.gutter(number)
        return [(text if not sub else " " * len(text), self.ink.faint)]

    def _styled(self, pieces: list[Piece]) -> Line:
        styles = syntax_styles(self.app)
        return [(text, styles.get(kind, styles[0])) for text, kind in pieces]

    # Keys.

    def action_move(self, rows: int) -> None:
        """Scrolls by lines."""
        self._scroll_lines(rows)

    def action_page(self, pages: float) -> None:
        """Scrolls by pages."""
        lines = max(1, int(abs(pages) * self.page_size))
        self._scroll_lines(lines if pages > 0 else -lines)

    def action_first(self) -> None:
        """Goes to the beginning."""
        self.left = 0
        self._go(0, 0)

    def action_last(self) -> None:
        """Goes to the end, as far as it is known."""
        self._go(*self._end())
        self.post_message(self.EndWanted())

    def action_sideways(self, step: int) -> None:
        """Scrolls to the side."""
        if self.wrap or isinstance(self.rows, HexRows):
            return
        first, last = self.visible_rows
        widest = 0
        if self.rows is not None:
            for row in range(first, last + 1):
                widest = max(widest, length(self._styled(self.rows.pieces(row))))
        left = max(0, min(self.left + step * _SIDEWAYS, widest - _SIDEWAYS))
        if step > 0:
            left = max(left, self.left)
        if left != self.left:
            self.left = left
            self.redraw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scrolls."""
        event.stop()
        event.prevent_default()
        self._scroll_lines(_WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scrolls."""
        event.stop()
        event.prevent_default()
        self._scroll_lines(-_WHEEL)

    # Where it is.

    def _scroll_lines(self, lines: int) -> None:
        row, sub = self.top, self.sub
        if not self.wrap:
            self._go(row + lines, 0)
            return
        for _ in range(abs(lines)):
            if lines > 0:
                if sub + 1 < len(self._lines_of(row)):
                    sub += 1
                elif row + 1 < self.row_count:
                    row, sub = row + 1, 0
            elif sub:
                sub -= 1
            elif row:
                row -= 1
                sub = len(self._lines_of(row)) - 1
        self._go(row, sub)

    def _go(self, row: int, sub: int) -> None:
        before = self.top, self.sub
        self._place(row, sub)
        if (self.top, self.sub) != before or not row:
            self.redraw()
            self.post_message(self.Scrolled())

    def _place(self, row: int, sub: int) -> None:
        row, sub = max((0, 0), min((row, sub), self._end()))
        self.top, self.sub = row, sub

    def _end(self) -> tuple[int, int]:
        """Where the view is when the last line is at its lower edge."""
        if not self.wrap:
            return self._last_top, 0
        left = self.page_size
        row = self.row_count - 1
        while row >= 0:
            lines = len(self._lines_of(row))
            if lines >= left:
                return row, lines - left
            left -= lines
            row -= 1
        return 0, 0

    def _keep_visible(self) -> bool:
        if not self.wrap:
            return super()._keep_visible()
        before = self.top, self.sub
        self._place(self.top, self.sub)
        return (self.top, self.sub) != before

    def _inner_width(self) -> int:
        width = self.size.width - (1 if self.row_count > self.page_size else 0)
        if self.rows is not None and self.rows.count:
            width -= length(self._gutter(0, 0))
        return max(1, width)

    def _lines_of(self, row: int) -> list[list[Piece]]:
        """A row as lines; a fact is one."""
        if row < self.prelude or self.rows is None or row >= self.row_count:
            return [[]]
        # Always with room for the scroll bar: with and without it, other lines would be needed.
        width = max(1, self._inner_width())
        if width != self._wrapped_for or len(self._wrapped) > 500:
            self._wrapped.clear()
            self._wrapped_for = width
        lines = self._wrapped.get(row)
        if lines is None:
            lines = wrapped(self.rows.pieces(row - self.prelude), width)[:_MOST_LINES]
            self._wrapped[row] = lines
        return lines

    def _layout(self) -> list[tuple[int, int]]:
        """Row and line of each line of the screen."""
        lines: list[tuple[int, int]] = []
        row, sub = self.top, self.sub
        while len(lines) < self.page_size and row < self.row_count:
            count = len(self._lines_of(row))
            lines += [(row, line) for line in range(min(sub, count - 1), count)]
            row, sub = row + 1, 0
        return lines[: self.page_size]
