"""Rows and a cursor: the base class of the panes.

Renders only visible rows, and paints only lines that have changed. The terminal receives only the
cells that differ; see `terminal.cells`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from layerscope.tui.base_app import app_of
from layerscope.tui.keys.key import Key, Keyed
from layerscope.tui.rows.format import Heading, Line, wrapped
from layerscope.tui.rows.strips import strip_of, thumb_cell
from layerscope.tui.terminal.glyphs import SEPARATOR, plain, sentence
from layerscope.tui.terminal.theme import Palette

_WHEEL = 3
_ANY_WIDTH = 1000
_BLANK = Style()


class _OfView(Message):
    """The base of messages from a pane of rows."""

    def __init__(self, view: RowView) -> None:
        super().__init__()
        self.view = view

    @property
    def control(self) -> RowView:
        return self.view


class RowView(Keyed, ScrollView, can_focus=True, inherit_bindings=False, heading="In lists"):
    """A pane of rows.

    It scrolls by whole rows, without the scroll bars and animations of its base class.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "RowView { overflow: hidden; }"
    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("rows.down", "j,down", "move(1)", "Down"),
        Key("rows.up", "k,up", "move(-1)", "Up"),
        Key("rows.first", "g,home", "first", "First row"),
        Key("rows.last", "G,end", "last", "Last row"),
        Key("rows.page_down", "pagedown", "page(1)", "Page down"),
        Key("rows.page_up", "pageup", "page(-1)", "Page up"),
        Key("rows.half_down", "ctrl+d", "page(0.5)", "Half a page down"),
        Key("rows.half_up", "ctrl+u", "page(-0.5)", "Half a page up"),
    )

    #: Lines at the top that do not scroll.
    HEADER_ROWS: ClassVar[int] = 0
    #: Whether to show them without rows, too.
    KEEPS_HEADER: ClassVar[bool] = False
    #: Without a cursor, keys scroll.
    HAS_CURSOR: ClassVar[bool] = True
    #: The most cells that the cursor colours; each move sends them for two rows.
    CURSOR: ClassVar[int] = 32
    #: Whether the placeholder is at the top left instead of in the middle.
    PLACEHOLDER_AT_LEFT: ClassVar[bool] = False

    class Moved(_OfView):
        """The cursor has moved to another row."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RowView.Moved) and message.view is self.view

    class Chosen(_OfView):
        """The user opened a row with a key or a click."""

    def __init__(self, name: str, title: str = "") -> None:
        super().__init__(id=name)
        self.title = title  # The start of the text in its border; safe to show.
        self.cursor = 0  # The row of the cursor.
        self.moved = False  # Whether the user has ever moved the cursor.
        self.top = 0  # The first visible row.
        self.row_count = 0
        self._lines: dict[int, Strip] = {}
        self._lines_for = Size(0, 0)
        self._palette: Palette | None = None
        self._placeholder: tuple[tuple[str, str], ...] = ()
        self._border_texts = ("", "")
        self.set_texts(title)

    # What subclasses define.

    def header(self, row: int, width: int) -> Line:
        return []

    def row(self, row: int, width: int) -> Line:
        raise NotImplementedError

    def cursor_span(self, width: int) -> tuple[int, int]:
        """Returns the span of the text that names the row under the cursor, to colour its start."""
        return 0, width

    # State.

    @property
    def palette(self) -> Palette:
        """The styles of the theme, for the line being rendered."""
        return self._palette or app_of(self).palette

    @property
    def active(self) -> bool:
        """Whether keys move this cursor."""
        return self.has_focus

    @property
    def shows_cursor(self) -> bool:
        return self.HAS_CURSOR

    @property
    def row_text(self) -> str:
        """Returns the row under the cursor as text, with all its columns, or ""."""
        if not (self.row_count and self.HAS_CURSOR):
            return ""
        return plain("".join(text for text, _ in self.row(self.cursor, _ANY_WIDTH)))

    @property
    def header_rows(self) -> int:
        """The height of the header: 0 if it would leave no room for rows."""
        return self.HEADER_ROWS if self.size.height > self.HEADER_ROWS else 0

    @property
    def page_size(self) -> int:
        return max(1, self.size.height - self.header_rows)

    def set_rows(self, count: int, cursor: int | None = None) -> None:
        """Sets the number of rows after a change; the cursor goes to a row, or stays."""
        grown, self.row_count = count != self.row_count, count
        wanted = self.cursor if cursor is None else cursor
        self.cursor = max(0, min(wanted, count - 1))
        self._keep_visible()
        if grown and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
        self.redraw()

    @property
    def spot(self) -> tuple[int, int]:
        """The cursor's row and the first visible row."""
        return self.cursor, self.top

    def restore(self, spot: tuple[int, int]) -> None:
        cursor, self.top = spot
        self.set_rows(self.row_count, cursor)

    def set_placeholder(self, *lines: tuple[str, str]) -> None:
        """Sets the lines to show without rows, as pairs of a text and a palette style."""
        if lines != self._placeholder:
            self._placeholder = lines
            if not self.row_count:
                self.redraw()

    def set_texts(self, title: str, subtitle: str = "") -> None:
        """Sets the texts in the border; they are not markup."""
        if (title, subtitle) != self._border_texts:
            self._border_texts = title, subtitle
            self.border_title = Content(title) if title else None
            self.border_subtitle = Content(subtitle) if subtitle else None

    def set_status(self, subtitle: str = "", *parts: str) -> None:
        """Sets the border's subtitle, and the texts after the pane's title; skips ""."""
        self.set_texts(SEPARATOR.join((self.title, *filter(None, parts))), subtitle)

    def move_to(self, row: int) -> None:
        row = max(0, min(row, self.row_count - 1))
        if not self.HAS_CURSOR:
            self._scroll(row)
            return
        if row == self.cursor:
            return
        old, self.cursor, self.moved = self.cursor, row, True
        if self._keep_visible():
            self.redraw()
        else:
            self.redraw((old, row))
        self.post_message(self.Moved(self))

    def redraw(self, rows: Iterable[int] | None = None) -> None:
        """Repaints changed lines: of some rows, or of all rows and the header."""
        self._fit()
        height, width = self.size.height, self.size.width
        if not height or not width:
            return
        if rows is None:
            ys: Iterable[int] = range(height)
        else:
            lines = (row - self.top + self.header_rows for row in rows)
            ys = [y for y in lines if self.header_rows <= y < height]
        for y in ys:
            new = self._line(y)
            if self._lines.get(y) != new:
                self._lines[y] = new
                self.refresh(Region(0, y, width, 1))

    # Called by Textual.

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.row_count + self.HEADER_ROWS

    def render_line(self, y: int) -> Strip:
        self._fit()
        strip = self._lines.get(y)
        if strip is None:
            strip = self._lines[y] = self._line(y)
        return strip

    def notify_style_update(self) -> None:
        """Drops rendered lines: the theme or the focus has changed."""
        self._lines.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Repaints changed lines; Textual has painted most."""
        self.redraw()

    def on_focus(self) -> None:
        self.redraw((self.cursor,))

    def on_blur(self) -> None:
        self.redraw((self.cursor,))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(self.top + _WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(self.top - _WHEEL)

    def on_click(self, event: events.Click) -> None:
        """Moves the cursor to the row; a second click opens it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        row = offset.y - self.header_rows + self.top
        if offset.y < self.header_rows:
            self.clicked_header(offset.x)
        elif self.HAS_CURSOR and row < self.row_count:
            self.move_to(row)
            self.clicked_row(row, offset.x, event.chain)

    def headings(self, width: int) -> list[Heading]:
        return []

    def sort_by(self, key: str) -> None:
        """Sorts by a column, or reverses the order if already sorted by it."""

    def clicked_header(self, x: int) -> None:
        for start, end, key in self.headings(self.size.width):
            if start <= x < end:
                self.sort_by(key)

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        """Handles a click on a row, the `chain`th in the same place."""
        if chain == 2:
            self.action_choose()

    # Keys.

    def action_move(self, rows: int) -> None:
        self.move_to((self.cursor if self.HAS_CURSOR else self.top) + rows)

    def action_page(self, pages: float) -> None:
        rows = max(1, int(abs(pages) * self.page_size))
        rows = rows if pages > 0 else -rows
        if not self.HAS_CURSOR:
            self._scroll(self.top + rows)
            return
        # Scrolls with the cursor, which stays in place on the screen.
        top = max(0, min(self.top + rows, self._last_top))
        row = max(0, min(self.cursor + rows, self.row_count - 1))
        if (top, row) == (self.top, self.cursor):
            return
        self.top, self.cursor = top, row
        self._keep_visible()
        self.redraw()
        self.post_message(self.Moved(self))

    def action_first(self) -> None:
        self.move_to(0)

    def action_last(self) -> None:
        self.move_to(self.row_count - 1)

    def action_choose(self) -> None:
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
        """Drops lines rendered for another size, and scrolls to the cursor."""
        if self._lines_for != self.size:
            self._lines_for = self.size
            self._lines.clear()
            self._keep_visible()

    def _keep_visible(self) -> bool:
        """Scrolls to the cursor; returns whether it had to."""
        top = self.top
        if self.HAS_CURSOR:
            top = min(top, self.cursor)
            top = max(top, self.cursor - self.page_size + 1)
        top = max(0, min(top, self._last_top))
        moved = top != self.top
        self.top = top
        return moved

    def _line(self, y: int) -> Strip:
        return self._content_line(y).apply_style(self.palette.base).simplify()

    def _content_line(self, y: int) -> Strip:
        width = self.size.width
        if y < self.header_rows and (self.row_count or self.KEEPS_HEADER):
            return strip_of(self.header(y, width), width)
        if not self.row_count:
            return strip_of(self._placeholder_line(y, width), width)
        place = y - self.header_rows
        row = self.top + place
        thumb = thumb_cell(place, self.page_size, self.row_count, self.top)
        inner = width - 1 if thumb else width
        if row >= self.row_count:
            return strip_of([], width)
        strip = strip_of(self.row(row, inner), inner)
        if row == self.cursor and self.shows_cursor:
            strip = self._under_cursor(strip, row)
        if not thumb:
            return strip
        return Strip([*strip, Segment(thumb, self.palette.faint)], width)

    def _under_cursor(self, strip: Strip, row: int) -> Strip:
        colors, width = self.palette, strip.cell_length
        start, end = self.cursor_span(width)
        end = min(end, start + self.CURSOR)
        marked = strip
        if self.active:
            self._palette = colors.on_cursor
            marked = strip_of(self.row(row, width), width)
            self._palette = None
        marked = marked.crop(start, end)
        cursor = colors.cursor if self.active else colors.cursor_blur
        flat = Strip([Segment(marked.text, cursor)], end - start)
        marked = flat if colors.flat else marked.apply_style(cursor)
        return Strip.join([strip.crop(0, start), marked, strip.crop(end)])

    def _placeholder_line(self, y: int, width: int) -> Line:
        room = max(1, min(width - 4, 64))
        level = app_of(self).glyphs
        texts = [(sentence(text, level), style) for text, style in self._placeholder]
        lines = wrapped(texts, room, self.size.height)
        place = y - max(0, (self.size.height - len(lines)) // 2)
        if not 0 <= place < len(lines):
            return []
        text, name = lines[place]
        style = self.palette.named(name)
        indent = 1 if self.PLACEHOLDER_AT_LEFT else max(0, (width - room) // 2)
        return [(" " * indent, _BLANK), (text, style)]
