"""The pane that shows what differs between two versions of a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.message import Message

from layerscope.content.diff_rows import DiffRow, DiffText, RowKind
from layerscope.text import visible
from layerscope.tui.content_rows import sliced, wrapped
from layerscope.tui.diff_ink import diff_ink, piece_style
from layerscope.tui.diff_lines import DiffLines
from layerscope.tui.format import Line, cut, length
from layerscope.tui.glyphs import VERTICAL
from layerscope.tui.told import Told, told_line
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.content.display import Span

#: From this width on, both texts are beside each other unless the user wants it otherwise.
SIDE_BY_SIDE = 140
_SIDEWAYS = 8


class DiffView(RowView):
    """Facts, then lines that differ, one text below the other or side by side.

    Attributes:
        lines: The lines of both texts.
        side: Whether both texts are beside each other; None leaves it to the width.
        whole: Whether all lines are shown, not only those around what differs.
        wrap: Whether long lines go on in the next row.
        left: The first column of the lines that is visible.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "sideways(-1)", "Left", id="diff.left", show=False),
        Binding("l,right", "sideways(1)", "Right", id="diff.right", show=False),
        Binding("right_curly_bracket", "hunk(1)", "Next change", key_display="}", id="diff.next"),
        Binding(
            "left_curly_bracket", "hunk(-1)", "Previous change", key_display="{", id="diff.previous"
        ),
    ]

    class Arranged(Message):
        """The rows are others: another width, another way to show them."""

    def __init__(self) -> None:
        super().__init__("diff")
        self.lines = DiffLines()
        self.side: bool | None = None
        self.whole = False
        self.wrap = False
        self.left = 0
        self._told: Sequence[Told] = ()
        self._rows: list[DiffRow] = []
        # Row and part of it on each line; None while every row has one line.
        self._layout: list[tuple[int, int]] | None = None
        self._made_for = 0
        # Numbers of rows.
        self._changes: list[int] = []
        self._matches: list[int] | None = None

    @property
    def text(self) -> DiffText | None:
        """What is shown; None where there are no lines."""
        return self.lines.text

    @property
    def needle(self) -> str:
        """What is searched for; empty for nothing."""
        return self.lines.needle

    # What it is told.

    def show(self, told: Sequence[Told], text: DiffText | None) -> None:
        """Shows another diff.

        Args:
            told: What to say above it.
            text: The lines; None if there are none to be compared.
        """
        needle, self._told = self.needle, told
        self.lines = DiffLines(text)
        self.lines.needle = needle
        self.left = self.top = 0
        self._arrange(0)
        first = self.changes[0] if self.changes else 0
        if first < self.page_size:
            self.set_rows(self.row_count, first)

    def set_told(self, told: Sequence[Told]) -> None:
        """Says something else above the same lines."""
        moved = len(told) - len(self._told)
        self._told = told
        self._lay_out()
        self.set_rows(self._count(), self.cursor + moved if self.cursor else 0)

    def set_syntax(self, old: list[list[Span]] | None, new: list[list[Span]] | None) -> None:
        """Colours the lines."""
        self.lines.syntax = (old, new)
        self.lines.forget()
        self.redraw()

    @property
    def is_side_by_side(self) -> bool:
        """Whether both texts are beside each other now."""
        if not self._two_texts:
            return False
        return self.size.width >= SIDE_BY_SIDE if self.side is None else self.side

    def set_mode(
        self, *, side: bool | None = None, whole: bool | None = None, wrap: bool | None = None
    ) -> None:
        """Shows the same in another way; the cursor stays on its line of the text."""
        self.side = self.side if side is None else side
        self.whole = self.whole if whole is None else whole
        if wrap is not None:
            self.wrap, self.left = wrap, 0
        self._arrange(None)

    # Finding.

    def find(self, needle: str) -> int:
        """Searches for a text, upper and lower case alike unless it has a capital letter.

        Returns:
            In how many rows it is.
        """
        self.lines.needle = needle
        self._matches = None
        self.lines.forget()
        self.redraw()
        return len(self.matching()) if needle else 0

    def matching(self) -> list[int]:
        """The rows that match, as the cursor counts them."""
        if self._matches is None:
            rows = self._rows if self.needle else []
            self._matches = [i for i, row in enumerate(rows) if self.lines.matches(row)]
        return [self._first_line(index) for index in self._matches]

    def go_to_match(self, step: int) -> str:
        """Goes to the next or previous row that matches, round the end if need be.

        Returns:
            A sentence for the user; empty if there is nothing to say.
        """
        found = self.matching()
        if not found:
            return "Nothing matches."
        ahead = [row for row in found if (row - self.cursor) * step > 0]
        self.move_to((ahead or found)[0 if step > 0 else -1])
        return "" if ahead else f"Round the {'end' if step > 0 else 'beginning'}."

    # How it looks.

    def on_mount(self) -> None:
        """Begins as the settings have it."""
        self.wrap = getattr(self.app, "wrap", False)

    def on_resize(self) -> None:
        """Another width, another arrangement."""
        if self.size.width != self._made_for:
            self._arrange(None)
        super().on_resize()

    def cursor_span(self, width: int) -> tuple[int, int]:
        """The numbers: the lines keep their colours."""
        if self.text is None:
            return 0, 0
        if self.cursor < self._above:
            return 0, 1
        return 0, min(width, self._digits + 3 if self.is_side_by_side else self._gutter)

    def row(self, row: int, width: int) -> Line:
        """A fact, or a line of one text or of both."""
        index, part = self._layout[row] if self._layout is not None else (row, 0)
        if index < len(self._told):
            return told_line(self._told, index, width, self.ink)
        index -= self._above
        if index < 0 or self.text is None:
            return []
        item = self._rows[index]
        if item.kind is RowKind.HUNK:
            return [(cut(f"  {visible(self.text.header(item))}", width), self.ink.accent)]
        if not self.is_side_by_side:
            side = 0 if item.kind is RowKind.OLD else 1
            differs = item.kind is not RowKind.SAME
            gutter = self._unified_gutter(item, part)
            return gutter + self._cells(index, side, width - length(gutter), part, differs)
        half = (width - 1) // 2
        line = self._half(index, 0, half, part)
        return [*line, (VERTICAL, self.ink.faint), *self._half(index, 1, width - 1 - half, part)]

    def _unified_gutter(self, item: DiffRow, part: int) -> Line:
        numbers = self._digits
        if part:
            return [(" " * self._gutter, self.ink.faint)]
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
        return [(text, self.ink.faint), (f"{sign} ", style)]

    def _half(self, index: int, side: int, width: int, part: int) -> Line:
        item = self._rows[index]
        number = (item.old, item.new)[side]
        differs = item.kind is not RowKind.SAME
        digits = self._digits
        if number is None:
            return [(" " * width, self.ink.text)]
        sign = "-+"[side] if differs else " "
        head = " " * (digits + 3) if part else f"{number + 1:>{digits}} {sign} "
        gutter: Line = [
            (head[: digits + 1], self.ink.faint),
            (head[digits + 1 :], self._mark(item, side)),
        ]
        line = gutter + self._cells(index, side, width - len(head), part, differs)
        return [*line, (" " * (width - length(line)), self.ink.text)]

    def _mark(self, item: DiffRow, side: int) -> Style:
        return diff_ink(self.app).marks[side] if item.kind else self.ink.faint

    def _cells(self, index: int, side: int, room: int, part: int, differs: bool) -> Line:
        """What is visible of a line, or of a part of it if it is wrapped."""
        room = max(1, room)
        pieces = self.lines.pieces(self._rows[index], side)
        if self.wrap:
            parts = wrapped(pieces, room)
            pieces = parts[part] if part < len(parts) else []
        else:
            pieces = sliced(pieces, self.left, room)
        where = side if differs else None
        return [(text, piece_style(self.app, kind, where)) for text, kind in pieces]

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        if action == "hunk" and not self.changes:
            return "No lines differ."
        if action == "sideways" and self.wrap:
            return "Long lines are wrapped: w ends that."
        return ""

    def action_hunk(self, step: int) -> None:
        """Goes to the next or previous change."""
        ahead = [row for row in self.changes if (row - self.cursor) * step > 0]
        if ahead:
            row = ahead[0 if step > 0 else -1]
            # With what is around it, if that fits.
            self.top = max(0, min(row - self.page_size // 3, self._last_top))
            self.cursor = row
            self._keep_visible()
            self.redraw()
            self.post_message(self.Moved(self))

    def action_sideways(self, step: int) -> None:
        """Scrolls to the side."""
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
        """The rows in which changes begin, as the cursor counts them."""
        return [self._first_line(index) for index in self._changes]

    # Rows.

    @property
    def _above(self) -> int:
        """How many rows are above the lines: what is told, and a blank one."""
        return len(self._told) + 1 if self._told else 0

    @property
    def _two_texts(self) -> bool:
        return self.text is not None and bool(self.text.diff.old and self.text.diff.new)

    @property
    def _gutter(self) -> int:
        """Cells of the numbers and the sign, one text below the other."""
        return (self._digits + 1) * (2 if self._two_texts else 1) + 2

    @property
    def _digits(self) -> int:
        if self.text is None:
            return 1
        return len(str(max(len(self.text.diff.old), len(self.text.diff.new))))

    def _count(self) -> int:
        return len(self._layout) if self._layout is not None else self._above + len(self._rows)

    def _first_line(self, index: int) -> int:
        """The line of the pane on which a row begins."""
        if self._layout is None:
            return self._above + index
        return self._starts[self._above + index]

    def _arrange(self, cursor: int | None) -> None:
        """Makes the rows anew; the cursor stays on its line of the text if it is None."""
        kept = self._at_cursor() if cursor is None else None
        self._matches = None
        self._made_for = self.size.width
        self.lines.forget()
        self._rows, self._changes = [], []
        if self.text is not None:
            self._rows, self._changes = self.text.rows(self.is_side_by_side, self.whole)
        self._lay_out()
        self.set_rows(self._count(), self._find_again(kept) if cursor is None else cursor)
        self.post_message(self.Arranged())

    def _lay_out(self) -> None:
        if not self.wrap or not self.size.width:
            self._layout = None
            return
        # Always with room for the scroll bar.
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
        """The line of the pane that shows what another arrangement had under the cursor."""
        if kept is None:
            return 0
        for index, row in enumerate(self._rows):
            if (kept.old is not None and row.old == kept.old) or (
                kept.new is not None and row.new == kept.new
            ):
                return self._first_line(index)
        return 0
