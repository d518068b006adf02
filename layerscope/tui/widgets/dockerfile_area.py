"""A Dockerfile that is edited: Textual's text area, with lines of our own making."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.document._document import Location
from textual.strip import Strip

from layerscope.dockerfile import shown_text
from layerscope.dockerfile.same import same_ends
from layerscope.tui._textual_compat import BareTextArea, action_of_key
from layerscope.tui.strips import thumb_cell
from layerscope.tui.theme import palette
from layerscope.tui.widgets.area_keys import BINDINGS
from layerscope.tui.widgets.area_lines import (
    INDENT,
    AreaLine,
    LinePainter,
    Mark,
    character_at,
    first_in_sight,
    gutter_width,
    line_cells,
)

if TYPE_CHECKING:
    from textual.document._document import EditResult
    from textual.document._edit import Edit
    from textual.dom import DOMNode

    from layerscope.dockerfile.colours import ColourSpan
    from layerscope.tui.app import LayerscopeApp

_INDENTATION = re.compile(r"[ \t]*")


class DockerfileArea(BareTextArea, inherit_bindings=False):
    """The text, with colours, problems and sizes of layers.

    Keys are looked up here, in the list of candidates, and in the screen, in this order.

    Attributes:
        reason: Why the text cannot be changed, in a sentence; empty if it can.
        popup: What keys go to first while it is shown.
        on_type: Told what has been typed, once it is in the text; empty if something was deleted.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(self) -> None:
        # Asked for while the base is being made.
        self._held: str | None = None
        self._ends: list[int] = []
        self._sizes: Mapping[int, str] | None = None
        self._painter: LinePainter | None = None
        super().__init__(
            "", soft_wrap=False, show_line_numbers=True, tab_behavior="indent", id="text"
        )
        self.cursor_blink = False
        self.indent_width = INDENT
        self.reason = ""
        self.popup: DOMNode | None = None
        self.on_type: Callable[[str], object] | None = None
        self._colours: Sequence[Sequence[ColourSpan]] = ()
        # The lines that these are the colours of, and how many are the same at both ends by now.
        self._coloured: list[str] = []
        self._same = 0, 0
        self._marks: Mapping[int, Sequence[Mark]] = {}
        self._kept = ""
        # Rows that were in sight before the size changed.
        self._rows = 0
        self._actions: dict[tuple[int, str], str | None] = {}

    # What it is told.

    def load(self, text: str) -> None:
        """Shows another text.

        Args:
            text: As `shown_text.held` makes it.
        """
        self._colours, self._coloured, self._marks, self._same = (), [], {}, (0, 0)
        self.load_text(text)

    def set_colours(self, colours: Sequence[Sequence[ColourSpan]]) -> None:
        """Sets the colours of each line."""
        self._colours, self._coloured = colours, list(self.document.lines)
        self._same = len(self._coloured), 0
        self.refresh()

    def shift_colours(self) -> None:
        """Keeps the colours of lines where they are, after an edit and until they are known."""
        self._same = same_ends(self._coloured, self.document.lines)

    def _colours_of(self, row: int) -> tuple[ColourSpan, ...]:
        (_, tail), old, new = self._same, len(self._coloured), self.document.line_count
        if row >= new - tail:
            row += old - new
        elif row >= old - tail:
            return ()
        # A line that is typed in keeps its colours; they are cut where it ends.
        return tuple(self._colours[row]) if row < len(self._colours) else ()

    def set_marks(self, marks: Mapping[int, Sequence[Mark]]) -> None:
        """Sets what is wrong, by line."""
        if marks != self._marks:
            self._marks = marks
            self.refresh()

    def set_sizes(self, sizes: Mapping[int, str] | None) -> None:
        """Sets what instructions added to an image, by their first line; None without an image."""
        if sizes != self._sizes:
            widened = (sizes is None) != (self._sizes is None)
            self._sizes = sizes
            if widened:
                self.fit_gutter()
            self.refresh()

    # Places.

    @property
    def place(self) -> int:
        """Characters before the cursor."""
        return self.offset_of(self.selection.end)

    def offset_of(self, location: Location) -> int:
        """Characters before a place."""
        row, column = location
        return (self._line_ends[row - 1] if row else 0) + row + column

    def location_of(self, offset: int) -> Location:
        """The place with so many characters before it."""
        ends = self._line_ends
        row = bisect_left(range(len(ends) - 1), offset, key=lambda row: ends[row] + row)
        start = ends[row - 1] + row if row else 0
        return row, min(offset - start, len(self.document.lines[row]))

    @property
    def _line_ends(self) -> list[int]:
        """Characters up to the end of each line, without line feeds."""
        if not self._ends:
            self._ends = list(accumulate(map(len, self.document.lines)))
        return self._ends

    @property
    def whole(self) -> str:
        """The text; asked for again, it is not made again."""
        if self._held is None:
            self._held = self.text
        return self._held

    def edited(self) -> None:
        """Forgets what was worked out of the text before."""
        self._held, self._ends = None, []

    def go_to(self, offset: int, end: int | None = None) -> None:
        """Puts the cursor at an offset, in sight; selects up to another."""
        start = self.location_of(offset)
        self.history.checkpoint()
        self.move_cursor(start)
        if end is not None:
            self.move_cursor(self.location_of(end), select=True)
        self._reveal(start[0])

    def _reveal(self, row: int) -> None:
        """Scrolls so that a row is not at the very edge, if it was out of sight."""
        top, height = self.scroll_offset.y, self.size.height
        if not top + 1 <= row < top + height - 1:
            self.scroll_to(y=max(0, row - height // 3), animate=False, force=True)

    def edit(self, edit: Edit) -> EditResult:
        """Changes the text, and keeps the cursor in sight."""
        result = super().edit(edit)
        # The base scrolls before it knows how many lines there are now.
        self.scroll_cursor_visible()
        return result

    def on_resize(self) -> None:
        """Keeps the cursor in sight when others take some of the room."""
        top = self.scroll_offset.y
        if top <= self.selection.end[0] < top + self._rows:
            self.scroll_cursor_visible()
        self._rows = self.size.height

    def replace_all(self, text: str, offset: int) -> None:
        """Puts another text in place of this one, as one edit, and the cursor at an offset."""
        old = self.whole
        head, tail = same_ends(old, text)
        start, end = self.location_of(head), self.location_of(len(old) - tail)
        self.history.checkpoint()
        self.replace(text[head : len(text) - tail], start, end, maintain_selection_offset=False)
        self.history.checkpoint()
        self.move_cursor(self.location_of(offset))

    # Keys.

    async def key_pressed(self, event: events.Key) -> bool:
        """Does what a key asks for, or types it; says whether it did either."""
        # What was said has been read.
        self._say("")
        for node in filter(None, (self.popup, self, self.screen)):
            action = self._action(node, event.key)
            app: LayerscopeApp = self.app  # type: ignore[assignment]
            if action is not None and await app.run_action(action, node):
                return True
        if event.key in ("enter", "tab"):
            self._type(self._line_break() if event.key == "enter" else self._tab())
        elif event.is_printable and event.character and not event.key.startswith("alt+"):
            self._type(event.character)
        else:
            return False
        return True

    def _action(self, node: DOMNode, key: str) -> str | None:
        known = (id(node), key)
        if known not in self._actions:
            self._actions[known] = action_of_key(node, key)
        return self._actions[known]

    def _type(self, text: str) -> None:
        if self.read_only:
            self._say(self.reason)
            return
        self.replace(text, *self.selection, maintain_selection_offset=False)
        if self.on_type is not None:
            self.on_type(text)

    def action_delete_left(self) -> None:
        """Deletes the selection, or the character before the cursor."""
        super().action_delete_left()
        if self.on_type is not None:
            self.on_type("")

    def _say(self, text: str) -> None:
        say = getattr(self.screen, "say", None)
        if say is not None:
            say(text)

    def _line_break(self) -> str:
        """A line feed; in the middle of an instruction, with the indentation of what goes on."""
        row, column = self.selection.end
        line = self.document.get_line(row)[:column]
        if not line.rstrip().endswith(("\\", "`")) or line.lstrip().startswith("#"):
            return "\n"
        match = _INDENTATION.match(line)
        return "\n" + ((match[0] if match is not None else "") or " " * INDENT)

    def _tab(self) -> str:
        if any(line.startswith("\t") for line in self.document.lines):
            return "\t"
        return " " * (INDENT - self.selection.end[1] % INDENT)

    def pasted(self, text: str) -> None:
        """Takes what is pasted, without what a terminal would obey."""
        self._type(shown_text.held(text.replace("\r\n", "\n").replace("\r", "\n")))

    def action_text_start(self) -> None:
        """Goes to the beginning of the text."""
        self.move_cursor((0, 0))

    def action_text_end(self) -> None:
        """Goes to the end of the text."""
        self.move_cursor(self.document.end)

    def action_unindent(self) -> None:
        """Takes away indentation of the line."""
        row, _ = self.selection.end
        line = self.document.get_line(row)
        size = 1 if line.startswith("\t") else len(line) - len(line.lstrip(" "))
        if size and not self.read_only:
            self.delete((row, 0), (row, min(size, INDENT)))

    def action_copy(self) -> None:
        """Copies the selection, or the line."""
        row, _ = self.selection.end
        text = self.selected_text or self.document.get_line(row) + "\n"
        self._keep(text, "selection" if self.selected_text else "line")

    def action_cut(self) -> None:
        """Cuts the selection, or the line."""
        if self.read_only:
            self._type("")
            return
        what = "line" if self.selection.is_empty else "selection"
        start, end = self.selection
        if start == end:
            start, end = (start[0], 0), (start[0] + 1, 0)
        done = self.delete(start, end, maintain_selection_offset=False)
        self._keep(done.replaced_text, what)

    def _keep(self, text: str, what: str) -> None:
        self._kept = text
        app: LayerscopeApp = self.app  # type: ignore[assignment]
        app.copy(shown_text.written(text), what)

    def action_paste(self) -> None:
        """Pastes what was cut or copied here last."""
        if self._kept:
            self._type(self._kept)

    def line_cells(self, line: str) -> int:
        """Cells that a line takes."""
        return line_cells(line)

    def character_at(self, line: str, cell: int) -> int:
        """The character of a line that is at a cell, or the end of the line."""
        return character_at(line, cell)

    def find_matching_bracket(self, bracket: str, search_from: Location) -> Location | None:
        """None: a bracket means little here, and looking for it takes long in a long text."""
        return None

    # Lines.

    @property
    def gutter_width(self) -> int:
        """Cells in front of the text."""
        return gutter_width(self._digits, self._sizes is not None)

    @property
    def _digits(self) -> int:
        return max(3, len(str(self.document.line_count)))

    def notify_style_update(self) -> None:
        """Another theme."""
        self._painter = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """A line."""
        width = self.size.width
        left, top = self.scroll_offset
        row, count = y + top, self.document.line_count
        thumb = thumb_cell(y, self.size.height, count, top)
        if row >= count:
            ink = palette(self.app)
            blank = Strip([Segment(" " * (width - len(thumb)), ink.text)])
            return Strip([*blank, Segment(thumb, ink.faint)]).apply_style(ink.base)
        if self._painter is None:
            self._painter = LinePainter(self.app)
        line = self.document.get_line(row)
        first, cell = first_in_sight(line, left)
        room = max(0, width - self.gutter_width - len(thumb))
        cursor = self.selection.end
        return self._painter.strip(
            AreaLine(
                number=row + 1,
                text=line[first : first + room + 1],
                first=first,
                skipped=cell - left,
                cell=cell,
                colours=self._colours_of(row),
                marks=tuple(self._marks.get(row, ())),
                selected=self._selected(row, len(line)),
                cursor=cursor[1] if cursor[0] == row and self.has_focus else None,
                here=cursor[0] == row,
                size=None if self._sizes is None else self._sizes.get(row, ""),
                digits=self._digits,
                width=width,
                thumb=thumb,
                theme=self.app.theme,
            )
        )

    def _selected(self, row: int, length: int) -> tuple[int, int] | None:
        top, bottom = sorted(self.selection)
        if top == bottom or not top[0] <= row <= bottom[0]:
            return None
        start = top[1] if row == top[0] else 0
        return start, bottom[1] if row == bottom[0] else length + 1
