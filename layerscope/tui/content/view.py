"""The pane that shows a file: facts, then its lines, or its bytes in hexadecimal."""

from __future__ import annotations

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip

from layerscope.tui.base_app import app_of
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import Line, cut, length
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.rows.strips import strip_of, thumb_cell
from layerscope.tui.rows.text_rows import HexRows, Piece, Rows, TextRows, sliced, wrapped
from layerscope.tui.terminal.syntax import syntax_styles

_SIDEWAYS = 8

#: The most lines of a wrapped row.
_MOST_LINES = 2000


class ContentView(RowView, screen="content", heading="A file"):
    """Rows that can be scrolled in every direction, wrapped, and searched."""

    HAS_CURSOR = False

    def _all_visible(self) -> str:
        if isinstance(self.rows, HexRows):
            return "Rows of bytes are never wider than the screen."
        return "Long lines are wrapped: w ends that." if self.wrap else ""

    KEYS = (
        Key("content.left", "h,left", "sideways(-1)", "Left", why_not=_all_visible),
        Key("content.right", "l,right", "sideways(1)", "Right", why_not=_all_visible),
    )

    class Scrolled(Message):
        """The visible rows have changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, ContentView.Scrolled)

    class EndWanted(Message):
        """The user asked for the end, which may not be known yet."""

    def __init__(self) -> None:
        super().__init__("content")
        self.rows: Rows | None = None
        self.facts: list[tuple[str, str]] = []  # Titles and texts above the rows, safe to show.
        self.left = 0  # The first visible column.
        self.wrap = False  # Whether long rows continue in the next line.
        self.numbers = True  # Whether lines are numbered.
        self.sub = 0  # Lines of the top row above the view.
        self._wrapped: dict[int, list[list[Piece]]] = {}
        self._wrapped_for = 0

    # What is shown, and where the view is.

    def show(self, rows: Rows | None, facts: list[tuple[str, str]]) -> None:
        """Shows other rows, or more of them; keeps the view in place if possible."""
        above = self.prelude
        known = self.rows is rows
        self.rows, self.facts = rows, facts
        if known and self.top >= above and above != self.prelude and self.top:
            self.top += self.prelude - above
        if not known:
            self.sub = 0
        self._wrapped.clear()
        self.set_rows(self._count)

    @property
    def _count(self) -> int:
        return self.prelude + (self.rows.count if self.rows is not None else 0)

    def update(self) -> None:
        """Repaints after the rows, their colours or the matches have changed."""
        self._wrapped.clear()
        count = self._count
        if count != self.row_count:
            self.set_rows(count)
        else:
            self.redraw()

    def on_mount(self) -> None:
        self.wrap = app_of(self).wrap
        self.numbers = app_of(self).line_numbers

    def set_wrap(self, wrap: bool) -> None:
        self.wrap, self.left, self.sub = wrap, 0, 0
        self._wrapped.clear()
        self.redraw()

    @property
    def prelude(self) -> int:
        """Returns the number of rows of the facts and the blank row below."""
        return len(self.facts) + 1 if self.facts else 0

    @property
    def visible_rows(self) -> tuple[int, int]:
        """Returns the first and the last visible row of the content; (0, -1) if there is none."""
        if self.rows is None:
            return 0, -1
        if not self.wrap:
            last = min(self.row_count, self.top + self.page_size) - 1
        else:
            lines = self._layout()
            last = lines[-1][0] if lines else -1
        return max(0, self.top - self.prelude), last - self.prelude

    def go_to(self, row: int, column: int = 0, *, context: int = 0) -> None:
        """Scrolls to a row and a column; leaves `context` rows above it if it was not visible."""
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
        return Strip([*strip, Segment(thumb, self.palette.faint)], width) if thumb else strip

    def _fact(self, row: int, width: int) -> Line:
        if row >= len(self.facts):
            return []
        colors = self.palette
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
        return [(text if not sub else " " * len(text), self.palette.faint)]

    def _styled(self, pieces: list[Piece]) -> Line:
        styles = syntax_styles(self.palette)
        return [(text, styles.get(kind, styles[0])) for text, kind in pieces]

    # Keys.

    def action_move(self, rows: int) -> None:
        self._scroll(self.top + rows)

    def action_first(self) -> None:
        self.left = 0
        self._go(0, 0)

    def action_last(self) -> None:
        self._go(*self._end())
        self.post_message(self.EndWanted())

    def action_sideways(self, step: int) -> None:
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

    # Lines.

    def _scroll(self, top: int) -> None:
        """Scrolls by as many lines as there are rows between the old and the new top row."""
        row, sub, lines = self.top, self.sub, top - self.top
        if not self.wrap:
            self._go(top, 0)
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
        """Returns the scroll position that shows the last line at the bottom."""
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
        if row < self.prelude or self.rows is None or row >= self.row_count:
            return [[]]
        # Always leaves room for the scroll bar, so that it does not change the wrapping.
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
        lines: list[tuple[int, int]] = []
        row, sub = self.top, self.sub
        while len(lines) < self.page_size and row < self.row_count:
            count = len(self._lines_of(row))
            lines += [(row, line) for line in range(min(sub, count - 1), count)]
            row, sub = row + 1, 0
        return lines[: self.page_size]
