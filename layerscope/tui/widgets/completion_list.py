"""What could stand at the cursor, in a list below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region

from layerscope.dockerfile.complete import Kind
from layerscope.text import visible
from layerscope.tui.format import Line, cut, left, length
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.dockerfile.complete import Candidate, Completion

_ROWS = 8
_WIDEST = 64
#: Candidates that the widths of columns depend on.
_MEASURED = 200


class CompletionList(RowView):
    """Candidates. It never has the focus: the text hands keys on to it while it is shown.

    Attributes:
        completion: What is shown; None while it is hidden.
        chosen: Whether the user has asked for it or moved in it, so that enter takes from it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,ctrl+n", "choose_by(1)", "Next", id="completion.next"),
        Binding("up", "choose_by(-1)", "Previous", id="completion.previous"),
        Binding("pagedown", "choose_by(8)", "Page down", id="completion.page_down"),
        Binding("pageup", "choose_by(-8)", "Page up", id="completion.page_up"),
        Binding("tab", "take", "Take", id="completion.take"),
        Binding(
            "enter",
            "take_chosen",
            "Take",
            tooltip="Take it, once you have moved in the list",
            id="completion.take_chosen",
        ),
        Binding("escape", "close", "Close", key_display="esc", id="completion.close"),
    ]

    can_focus = False

    def __init__(self, on_take: Callable[[], None], on_close: Callable[[], None]) -> None:
        """Makes it, hidden.

        Args:
            on_take: Takes the candidate.
            on_close: Told that the user wants to see none.
        """
        super().__init__("completion")
        self._on_take, self._on_close = on_take, on_close
        self.completion: Completion | None = None
        self.chosen = False
        # Cells of the longest name.
        self._column = 0
        self.display = False

    @property
    def active(self) -> bool:
        """The cursor counts once the user has moved it."""
        return self.chosen

    @property
    def candidate(self) -> Candidate | None:
        """The candidate under the cursor."""
        return self.completion.candidates[self.cursor] if self.completion is not None else None

    def open(self, completion: Completion, cursor: Offset, room: Region, *, chosen: bool) -> None:
        """Shows candidates.

        Args:
            completion: The candidates; at least one.
            cursor: Where on the screen the cursor is.
            room: The part of the screen that it may take.
            chosen: Whether the user has asked for it.
        """
        before = self.candidate
        self.completion = completion
        texts = [candidate.text for candidate in completion.candidates]
        keep = self.chosen and before is not None and before.text in texts
        self.chosen = chosen or keep
        at = texts.index(before.text) if keep and before is not None else 0
        typed = completion.span.end - completion.span.start
        some = completion.candidates[:_MEASURED]
        self._column = max(_cells(each.text) for each in some)
        details = max(_cells(each.detail) for each in some)
        longest = self._column + (details + 3 if details else 1)
        width = min(longest + 4, _WIDEST, room.width)
        below, above = room.bottom - cursor.y - 1, cursor.y - room.y
        rows = min(len(texts), _ROWS, max(below, above) - 2)
        if rows < 1:
            self.close()
            return
        y = cursor.y + 1 if rows + 2 <= below else cursor.y - rows - 2
        x = max(room.x, min(cursor.x - typed - 2, room.right - width))
        self.styles.width, self.styles.height = width, rows + 2
        self.absolute_offset = Offset(x, y)
        self.top = 0
        self.display = True
        self.set_rows(len(texts), at)
        self.set_texts("", f"{at + 1} of {len(texts)}" if len(texts) > rows else "")
        self.refresh(layout=True)

    def close(self) -> None:
        """Hides it."""
        self.set_rows(0)
        self.completion, self.chosen = None, False
        self.display = False

    def action_choose_by(self, rows: int) -> None:
        """Moves, round the ends if by one row."""
        row = self.cursor + rows
        if abs(rows) == 1 and self.chosen:
            row %= self.row_count
        elif not self.chosen and rows == 1:
            row = self.cursor if self.cursor else 0
        self.chosen = True
        self.move_to(row)
        self.redraw()
        if self.row_count > self.page_size:
            self.set_texts("", f"{self.cursor + 1} of {self.row_count}")

    def action_take(self) -> None:
        """Takes the candidate under the cursor."""
        self._on_take()

    def action_take_chosen(self) -> None:
        """Takes it if it can be meant; else the key ends the line, as it always does."""
        candidate = self.candidate
        sure = candidate is not None and candidate.kind in (Kind.INSTRUCTION, Kind.DIRECTIVE)
        if not (self.chosen or sure):
            raise SkipAction
        self._on_take()

    def action_close(self) -> None:
        """Shows no more candidates."""
        self._on_close()

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        """A click takes a candidate."""
        self._on_take()

    def row(self, row: int, width: int) -> Line:
        """A candidate."""
        if self.completion is None:
            return []
        candidate = self.completion.candidates[row]
        text, detail = visible(candidate.text), visible(candidate.detail)
        if detail:
            # Details stand below each other, unless a long name leaves them no room.
            text = left(text, max(length([(text, self.ink.text)]), min(self._column, width // 2)))
        text = cut(text, width - 2)
        room = width - length([(text, self.ink.text)]) - 4
        return [
            (" ", self.ink.text),
            (text, self.ink.text),
            ("  ", self.ink.text),
            (left(cut(detail, room), max(0, room)), self.ink.muted),
        ]


def _cells(text: str) -> int:
    return cell_len(visible(text))
