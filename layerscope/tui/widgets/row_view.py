"""Rows under a cursor: what the panes have in common.

Nothing here is made per row but what is on the screen, and the terminal is sent only the cells of a
line that have become different.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from layerscope.tui._textual_compat import set_border_texts
from layerscope.tui.format import Heading, Line, wrapped
from layerscope.tui.glyphs import level_of, plain, sentence
from layerscope.tui.strips import changed_span, strip_of, thumb_cell
from layerscope.tui.theme import Palette, palette

_WHEEL = 3
_ANY_WIDTH = 1000
_BLANK = Style()


class RowView(ScrollView, can_focus=True, inherit_bindings=False):
    """A pane of rows.

    It scrolls by itself, by whole rows: the scroll bars and animations of the base are not used.

    Attributes:
        cursor: The row that the cursor is on.
        top: The first row that is visible.
        row_count: How many rows there are.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "RowView { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", id="rows.down", show=False),
        Binding("k,up", "move(-1)", "Up", id="rows.up", show=False),
        Binding("g,home", "first", "First row", id="rows.first", show=False),
        Binding("G,end", "last", "Last row", id="rows.last", show=False),
        Binding("pagedown", "page(1)", "Page down", id="rows.page_down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="rows.page_up", show=False),
        Binding("ctrl+d", "page(0.5)", "Half a page down", id="rows.half_down", show=False),
        Binding("ctrl+u", "page(-0.5)", "Half a page up", id="rows.half_up", show=False),
    ]

    #: Lines at the top that do not scroll.
    HEADER_ROWS: ClassVar[int] = 0
    #: Whether they are there too while there are no rows.
    KEEPS_HEADER: ClassVar[bool] = False
    #: Whether there is a cursor; without one, the keys scroll.
    HAS_CURSOR: ClassVar[bool] = True
    #: Whether what is said in place of rows stands where these would, and not in the middle.
    PLACEHOLDER_AT_LEFT: ClassVar[bool] = False

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, view: RowView) -> None:
            super().__init__()
            self.view = view

        @property
        def control(self) -> RowView:
            """The pane."""
            return self.view

        def can_replace(self, message: Message) -> bool:
            """Only the last of several moves counts."""
            return isinstance(message, RowView.Moved) and message.view is self.view

    class Chosen(Message):
        """A row was opened, by key or by a click on it."""

        def __init__(self, view: RowView) -> None:
            super().__init__()
            self.view = view

        @property
        def control(self) -> RowView:
            """The pane."""
            return self.view

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.cursor = 0
        self.top = 0
        self.row_count = 0
        self._lines: dict[int, Strip] = {}
        self._lines_for = Size(0, 0)
        self._colors: Palette | None = None
        self._placeholder: tuple[tuple[str, str], ...] = ()

    # What a pane says.

    def header(self, row: int, width: int) -> Line:
        """A line that does not scroll."""
        return []

    def row(self, row: int, width: int) -> Line:
        """A row."""
        raise NotImplementedError

    def cursor_span(self, width: int) -> tuple[int, int]:
        """Which cells of a row the cursor colours, all of which it costs to move it."""
        return 0, width

    # What a pane is told.

    @property
    def ink(self) -> Palette:
        """The styles of the theme, for the line that is being made."""
        return self._colors or palette(self.app)

    @property
    def active(self) -> bool:
        """Whether the cursor is the one that keys move."""
        return self.has_focus

    @property
    def row_text(self) -> str:
        """The row under the cursor as text, with all its columns; empty without one."""
        if not (self.row_count and self.HAS_CURSOR):
            return ""
        return plain("".join(text for text, _ in self.row(self.cursor, _ANY_WIDTH)))

    @property
    def page_size(self) -> int:
        """How many rows fit."""
        return max(1, self.size.height - self.HEADER_ROWS)

    def set_rows(self, count: int, cursor: int | None = None) -> None:
        """Says how many rows there are now, after they have changed.

        Args:
            count: Their number.
            cursor: Where the cursor goes; None leaves it on its line.
        """
        grown, self.row_count = count != self.row_count, count
        wanted = self.cursor if cursor is None else cursor
        self.cursor = max(0, min(wanted, count - 1))
        self._keep_visible()
        if grown and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
        self.redraw()

    def set_placeholder(self, *lines: tuple[str, str]) -> None:
        """Says what to show in place of rows, as pairs of text and name of a palette style."""
        if lines != self._placeholder:
            self._placeholder = lines
            if not self.row_count:
                self.redraw()

    def set_texts(self, title: str, subtitle: str = "") -> None:
        """Sets the texts in the border."""
        set_border_texts(self, title, subtitle)

    def move_to(self, row: int) -> None:
        """Puts the cursor on a row, and repaints what that changes."""
        row = max(0, min(row, self.row_count - 1))
        if not self.HAS_CURSOR:
            self._scroll(row)
            return
        if row == self.cursor:
            return
        old, self.cursor = self.cursor, row
        if self._keep_visible():
            self.redraw()
        else:
            self.redraw((old, row))
        self.post_message(self.Moved(self))

    def redraw(self, rows: Iterable[int] | None = None) -> None:
        """Repaints the cells that have become different.

        Args:
            rows: The rows that may have changed; None for all, the header included.
        """
        self._fit()
        height, width = self.size.height, self.size.width
        if not height or not width:
            return
        if rows is None:
            ys: Iterable[int] = range(height)
        else:
            lines = (row - self.top + self.HEADER_ROWS for row in rows)
            ys = [y for y in lines if self.HEADER_ROWS <= y < height]
        for y in ys:
            new = self._line(y)
            old = self._lines.get(y)
            if old is None:
                self.refresh(Region(0, y, width, 1))
            else:
                span = changed_span(old, new)
                if span is None:
                    continue
                self.refresh(Region(span[0], y, span[1] - span[0], 1))
            self._lines[y] = new

    # What Textual asks.

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are rows."""
        return self.row_count + self.HEADER_ROWS

    def render_line(self, y: int) -> Strip:
        """A line of the pane."""
        self._fit()
        strip = self._lines.get(y)
        if strip is None:
            strip = self._lines[y] = self._line(y)
        return strip

    def notify_style_update(self) -> None:
        """Another theme, another focus: nothing that was made before is sure to be right."""
        self._lines.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Shows what there is more or less room for; much of it is painted already."""
        self.redraw()

    def on_focus(self) -> None:
        """Shows the cursor as the one that keys move."""
        self.redraw((self.cursor,))

    def on_blur(self) -> None:
        """Shows the cursor as one that waits."""
        self.redraw((self.cursor,))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scrolls."""
        event.stop()
        self._scroll(self.top + _WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scrolls."""
        event.stop()
        self._scroll(self.top - _WHEEL)

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor on the row; a second click opens it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        row = offset.y - self.HEADER_ROWS + self.top
        if offset.y < self.HEADER_ROWS:
            self.clicked_header(offset.x)
        elif self.HAS_CURSOR and row < self.row_count:
            self.move_to(row)
            self.clicked_row(row, offset.x, event.chain)

    def headings(self, width: int) -> list[Heading]:
        """The columns that it can be sorted by."""
        return []

    def sort_by(self, key: str) -> None:
        """Sorts by a column; turns the order round if it is sorted by that already."""

    def clicked_header(self, x: int) -> None:
        """A click on the header."""
        for start, end, key in self.headings(self.size.width):
            if start <= x < end:
                self.sort_by(key)

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        """A click on a row, the `chain`th at the same place."""
        if chain == 2:
            self.post_message(self.Chosen(self))

    # Keys.

    def action_move(self, rows: int) -> None:
        """Moves by rows."""
        self.move_to((self.cursor if self.HAS_CURSOR else self.top) + rows)

    def action_page(self, pages: float) -> None:
        """Moves by pages."""
        rows = max(1, int(abs(pages) * self.page_size))
        rows = rows if pages > 0 else -rows
        if not self.HAS_CURSOR:
            self._scroll(self.top + rows)
            return
        # The view moves with the cursor, so that this stays where the eye is.
        top = max(0, min(self.top + rows, self._last_top))
        row = max(0, min(self.cursor + rows, self.row_count - 1))
        if (top, row) == (self.top, self.cursor):
            return
        self.top, self.cursor = top, row
        self._keep_visible()
        self.redraw()
        self.post_message(self.Moved(self))

    def action_first(self) -> None:
        """Moves to the first row."""
        self.move_to(0)

    def action_last(self) -> None:
        """Moves to the last row."""
        self.move_to(self.row_count - 1)

    def action_choose(self) -> None:
        """Opens the row."""
        if self.row_count:
            self.post_message(self.Chosen(self))

    # Lines.

    @property
    def _last_top(self) -> int:
        return max(0, self.row_count - self.page_size)

    def _scroll(self, top: int) -> None:
        top = max(0, min(top, self._last_top))
        if top == self.top:
            return
        self.top = top
        if self.HAS_CURSOR:
            inside = max(top, min(self.cursor, top + self.page_size - 1))
            if inside != self.cursor:
                self.cursor = inside
                self.post_message(self.Moved(self))
        self.redraw()

    def _fit(self) -> None:
        """Forgets the lines of another size, and keeps the cursor in sight in this one."""
        if self._lines_for != self.size:
            self._lines_for = self.size
            self._lines.clear()
            self._keep_visible()

    def _keep_visible(self) -> bool:
        """Scrolls as little as it takes, and says whether it did."""
        top = self.top
        if self.HAS_CURSOR:
            top = min(top, self.cursor)
            top = max(top, self.cursor - self.page_size + 1)
        top = max(0, min(top, self._last_top))
        moved = top != self.top
        self.top = top
        return moved

    def _line(self, y: int) -> Strip:
        return self._content_line(y).apply_style(self.ink.base).simplify()

    def _content_line(self, y: int) -> Strip:
        width = self.size.width
        if y < self.HEADER_ROWS and (self.row_count or self.KEEPS_HEADER):
            return strip_of(self.header(y, width), width)
        if not self.row_count:
            return strip_of(self._placeholder_line(y, width), width)
        place = y - self.HEADER_ROWS
        row = self.top + place
        thumb = thumb_cell(place, self.page_size, self.row_count, self.top)
        inner = width - 1 if thumb else width
        if row >= self.row_count:
            return strip_of([], width)
        strip = strip_of(self.row(row, inner), inner)
        if row == self.cursor and self.HAS_CURSOR:
            strip = self._under_cursor(strip, row)
        if not thumb:
            return strip
        return Strip([*strip, Segment(thumb, self.ink.faint)], width)

    def _under_cursor(self, strip: Strip, row: int) -> Strip:
        colors, width = self.ink, strip.cell_length
        start, end = self.cursor_span(width)
        marked = strip
        if self.active:
            self._colors = colors.on_cursor
            marked = strip_of(self.row(row, width), width)
            self._colors = None
        marked = marked.crop(start, end)
        cursor = colors.cursor if self.active else colors.cursor_blur
        flat = Strip([Segment(marked.text, cursor)], end - start)
        marked = flat if colors.flat else marked.apply_style(cursor)
        return Strip.join([strip.crop(0, start), marked, strip.crop(end)])

    def _placeholder_line(self, y: int, width: int) -> Line:
        room = max(1, min(width - 4, 64))
        level = level_of(self.app)
        texts = [(sentence(text, level), style) for text, style in self._placeholder]
        lines = wrapped(texts, room, self.size.height)
        place = y - max(0, (self.size.height - len(lines)) // 2)
        if not 0 <= place < len(lines):
            return []
        text, name = lines[place]
        style: Style = getattr(self.ink, name)
        indent = 1 if self.PLACEHOLDER_AT_LEFT else max(0, (width - room) // 2)
        return [(" " * indent, _BLANK), (text, style)]
