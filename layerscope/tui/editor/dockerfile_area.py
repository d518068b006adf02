"""The text area of the editor: Textual's, with custom rendering and keys."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widgets.text_area import Location

from layerscope.content.line_matching import same_ends
from layerscope.dockerfile.editing import shown_text
from layerscope.tui.base_app import app_of
from layerscope.tui.editor.area_lines import (
    INDENT,
    AreaLine,
    LinePainter,
    Mark,
    character_at,
    first_in_sight,
    gutter_width,
    line_cells,
)
from layerscope.tui.keys.key import Key, Keyed
from layerscope.tui.rows.strips import thumb_cell
from layerscope.tui.terminal.compat import BareTextArea, action_of_key

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.widgets.text_area import Edit, EditResult

    from layerscope.dockerfile.editing.highlight import ColourSpan

_INDENTATION = re.compile(r"[ \t]*")
#: By the last part of their ids: keys, action, label.
_KEYS = {
    "up": ("up", "cursor_up", "Up"),
    "down": ("down", "cursor_down", "Down"),
    "left": ("left", "cursor_left", "Left"),
    "right": ("right", "cursor_right", "Right"),
    "word_left": ("ctrl+left,alt+b", "cursor_word_left", "Word left"),
    "word_right": ("ctrl+right,alt+f", "cursor_word_right", "Word right"),
    "line_start": ("home", "cursor_line_start", "Start of the line"),
    "line_end": ("end", "cursor_line_end", "End of the line"),
    "page_up": ("pageup", "cursor_page_up", "Page up"),
    "page_down": ("pagedown", "cursor_page_down", "Page down"),
    "start": ("ctrl+home,alt+less_than_sign", "text_start", "Start of the text"),
    "end": ("ctrl+end,alt+greater_than_sign", "text_end", "End of the text"),
    "select_up": ("shift+up", "cursor_up(True)", "Select up"),
    "select_down": ("shift+down", "cursor_down(True)", "Select down"),
    "select_left": ("shift+left", "cursor_left(True)", "Select left"),
    "select_right": ("shift+right", "cursor_right(True)", "Select right"),
    "select_start": ("shift+home", "cursor_line_start(True)", "Select to the start of the line"),
    "select_end": ("shift+end", "cursor_line_end(True)", "Select to the end of the line"),
    "select_all": ("ctrl+a", "select_all", "Select all"),
    "delete_left": ("backspace", "delete_left", "Delete left"),
    "delete_right": ("delete,ctrl+d", "delete_right", "Delete right"),
    "delete_word_left": ("ctrl+w,alt+backspace", "delete_word_left", "Delete word left"),
    "delete_word_right": ("alt+d,alt+delete", "delete_word_right", "Delete word right"),
    "delete_start": ("ctrl+u", "delete_to_start_of_line", "Delete to the start of the line"),
    "delete_end": ("ctrl+k", "delete_to_end_of_line_or_delete_line", "Delete to the line's end"),
    "cut": ("ctrl+x", "cut", "Cut the selection or the line"),
    "copy": ("ctrl+c", "copy", "Copy the selection or the line"),
    "paste": ("ctrl+v", "paste", "Paste what was cut or copied here"),
    "undo": ("ctrl+z", "undo", "Undo"),
    "redo": ("ctrl+y", "redo", "Redo"),
    "unindent": ("shift+tab", "unindent", "Unindent"),
}


class DockerfileArea(
    Keyed,
    BareTextArea,
    inherit_bindings=False,
    screen="editor",
    heading="While typing in the Dockerfile editor",
):
    """A Dockerfile with colours, problems and sizes of layers.

    A key goes to the list of completions first, then to the text, then to the screen.
    """

    ALLOW_SELECT = False
    KEYS = tuple(Key(f"text.{name}", *key) for name, key in _KEYS.items())

    def __init__(self) -> None:
        # The base's constructor needs these.
        self._held: str | None = None
        self._ends: list[int] = []
        self._sizes: Mapping[int, str] | None = None
        self._painter: LinePainter | None = None
        super().__init__(
            "", soft_wrap=False, show_line_numbers=True, tab_behavior="indent", id="text"
        )
        self.cursor_blink = False
        self.indent_width = INDENT
        self.reason = ""  # A sentence on why the text is read-only, or "".
        self.popup: DOMNode | None = None  # The list of completions while it is shown.
        #: Called with the typed text after it was inserted; with "" after a deletion.
        self.on_type: Callable[[str], object] = lambda _: None
        self._colours: Sequence[Sequence[ColourSpan]] = ()
        # The highlighted lines, and how many at either end are unchanged.
        self._coloured: list[str] = []
        self._same = 0, 0
        self._marks: Mapping[int, Sequence[Mark]] = {}
        self._kept = ""
        # The number of visible rows before a resize.
        self._rows = 0
        self._actions: dict[tuple[int, str], str | None] = {}

    def load(self, text: str) -> None:
        """Shows another text, as returned by `shown_text.held`."""
        self._colours, self._coloured, self._marks, self._same = (), [], {}, (0, 0)
        self.load_text(text)

    def set_colours(self, colours: Sequence[Sequence[ColourSpan]]) -> None:
        self._colours, self._coloured = colours, list(self.document.lines)
        self._same = len(self._coloured), 0
        self.refresh()

    def shift_colours(self) -> None:
        """Keeps the colours of unchanged lines after an edit until new ones are known."""
        self._same = same_ends(self._coloured, self.document.lines)

    def _colours_of(self, row: int) -> tuple[ColourSpan, ...]:
        (_, tail), old, new = self._same, len(self._coloured), self.document.line_count
        if row >= new - tail:
            row += old - new
        elif row >= old - tail:
            return ()
        # The line being typed in keeps its old colours.
        return tuple(self._colours[row]) if row < len(self._colours) else ()

    def set_marks(self, marks: Mapping[int, Sequence[Mark]]) -> None:
        if marks != self._marks:
            self._marks = marks
            self.refresh()

    def set_sizes(self, sizes: Mapping[int, str] | None) -> None:
        """Shows the sizes that instructions added, by first line; None without an image."""
        if sizes != self._sizes:
            widened = (sizes is None) != (self._sizes is None)
            self._sizes = sizes
            if widened:
                self.fit_gutter()
            self.refresh()

    # Places.

    @property
    def place(self) -> int:
        return self.offset_of(self.selection.end)

    def offset_of(self, location: Location) -> int:
        row, column = location
        return (self._line_ends[row - 1] if row else 0) + row + column

    def location_of(self, offset: int) -> Location:
        ends = self._line_ends
        row = bisect_left(range(len(ends) - 1), offset, key=lambda row: ends[row] + row)
        start = ends[row - 1] + row if row else 0
        return row, min(offset - start, len(self.document.lines[row]))

    @property
    def _line_ends(self) -> list[int]:
        """Returns the number of characters up to the end of each line, without line feeds."""
        if not self._ends:
            self._ends = list(accumulate(map(len, self.document.lines)))
        return self._ends

    @property
    def whole(self) -> str:
        if self._held is None:
            self._held = self.text
        return self._held

    def edited(self) -> None:
        self._held, self._ends = None, []

    def go_to(self, offset: int, end: int | None = None) -> None:
        """Puts the cursor at an offset and scrolls to it; selects from there to `end`."""
        start = self.location_of(offset)
        self.history.checkpoint()
        self.move_cursor(start)
        if end is not None:
            self.move_cursor(self.location_of(end), select=True)
        row, top, height = start[0], self.scroll_offset.y, self.size.height
        # Does not scroll if the row is visible and not at the very edge.
        if not top + 1 <= row < top + height - 1:
            self.scroll_to(y=max(0, row - height // 3), animate=False, force=True)

    def edit(self, edit: Edit) -> EditResult:
        result = super().edit(edit)
        # The base scrolls before it knows the new number of lines.
        self.scroll_cursor_visible()
        return result

    def on_resize(self) -> None:
        """Keeps a visible cursor visible when the area shrinks."""
        top = self.scroll_offset.y
        if top <= self.selection.end[0] < top + self._rows:
            self.scroll_cursor_visible()
        self._rows = self.size.height

    def replace_all(self, text: str, offset: int) -> None:
        old = self.whole
        head, tail = same_ends(old, text)
        start, end = self.location_of(head), self.location_of(len(old) - tail)
        self.history.checkpoint()
        self.replace(text[head : len(text) - tail], start, end, maintain_selection_offset=False)
        self.history.checkpoint()
        self.move_cursor(self.location_of(offset))

    # Keys.

    async def key_pressed(self, event: events.Key) -> bool:
        """Runs a key's action or types it; returns whether it did either."""
        # The user has read the last message.
        app_of(self).say("")
        for node in filter(None, (self.popup, self, self.screen)):
            action = self._action(node, event.key)
            if action is not None and await self.app.run_action(action, node):
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
            app_of(self).say(self.reason)
            return
        self.replace(text, *self.selection, maintain_selection_offset=False)
        self.on_type(text)

    def action_delete_left(self) -> None:
        super().action_delete_left()
        self.on_type("")

    def _line_break(self) -> str:
        """Returns a line feed, with indentation if the instruction continues."""
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
        """Types a pasted text, with its control characters replaced."""
        self._type(shown_text.held(text.replace("\r\n", "\n").replace("\r", "\n")))

    def action_text_start(self) -> None:
        self.move_cursor((0, 0))

    def action_text_end(self) -> None:
        self.move_cursor(self.document.end)

    def action_unindent(self) -> None:
        row, _ = self.selection.end
        line = self.document.get_line(row)
        size = 1 if line.startswith("\t") else len(line) - len(line.lstrip(" "))
        if size and not self.read_only:
            self.delete((row, 0), (row, min(size, INDENT)))

    def action_copy(self) -> None:
        row, _ = self.selection.end
        text = self.selected_text or self.document.get_line(row) + "\n"
        self._keep(text, "selection" if self.selected_text else "line")

    def action_cut(self) -> None:
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
        app_of(self).copy(shown_text.written(text), what)

    def action_paste(self) -> None:
        if self._kept:
            self._type(self._kept)

    def line_cells(self, line: str) -> int:
        return line_cells(line)

    def character_at(self, line: str, cell: int) -> int:
        return character_at(line, cell)

    def find_matching_bracket(self, bracket: str, search_from: Location) -> Location | None:
        """Returns None: brackets mean little here, and the search is slow in a long text."""
        return None

    # Lines.

    @property
    def gutter_width(self) -> int:
        return gutter_width(self._digits, self._sizes is not None)

    @property
    def _digits(self) -> int:
        return max(3, len(str(self.document.line_count)))

    def notify_style_update(self) -> None:
        self._painter = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        left, top = self.scroll_offset
        row, count = y + top, self.document.line_count
        thumb = thumb_cell(y, self.size.height, count, top)
        if row >= count:
            colors = app_of(self).palette
            blank = Strip([Segment(" " * (width - len(thumb)), colors.text)])
            return Strip([*blank, Segment(thumb, colors.faint)]).apply_style(colors.base)
        if self._painter is None:
            self._painter = LinePainter(app_of(self).palette)
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
            )
        )

    def _selected(self, row: int, length: int) -> tuple[int, int] | None:
        top, bottom = sorted(self.selection)
        if top == bottom or not top[0] <= row <= bottom[0]:
            return None
        start = top[1] if row == top[0] else 0
        return start, bottom[1] if row == bottom[0] else length + 1
