"""What can stand in a field of a form, and what is known of it, in a list below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType

from layerscope.tui.format import Line, cut, left, length
from layerscope.tui.widgets.row_view import RowView

#: Cells that texts take at most, where details are beside them.
_WIDEST = 40


@dataclass(frozen=True, slots=True)
class OfferRow:
    """A row; all texts are safe to show.

    Attributes:
        text: What it says.
        detail: What is known of it.
        value: What goes into the field, as it is; None if there is nothing to take.
        style: Name of the palette style of the text.
    """

    text: str
    detail: str = ""
    value: str | None = None
    style: str = "text"


class OfferList(RowView):
    """Rows, some of which can be taken."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter,space",
            "choose",
            "Take",
            key_display="enter",
            tooltip="Put it into the field",
            id="build_offers.take",
        ),
        Binding(
            "escape,tab,shift+tab",
            "screen.fields",
            "Field",
            key_display="esc",
            tooltip="Back to the field",
            id="build_offers.leave",
        ),
    ]

    def __init__(self, on_take: Callable[[], object]) -> None:
        """Makes it, empty.

        Args:
            on_take: Takes the row under the cursor.
        """
        super().__init__("offers")
        self._on_take = on_take
        self._rows: Sequence[OfferRow] = ()
        self._room = 0

    @property
    def offer(self) -> OfferRow | None:
        """The row under the cursor."""
        return self._rows[self.cursor] if self._rows else None

    def show(self, title: str, rows: Sequence[OfferRow], *, stay: bool) -> None:
        """Shows rows.

        Args:
            title: What they are; safe to show.
            rows: The rows.
            stay: Whether the cursor stays where it is, as they are about the same field.
        """
        self._rows = rows
        beside = [length([(row.text, self.ink.text)]) for row in rows if row.detail]
        self._room = min(max(beside, default=0), _WIDEST)
        # Without a corner at its side, a title has no blanks of its own.
        self.set_texts(f" {title} ")
        if not stay:
            self.top = 0
        self.set_rows(len(rows), None if stay else self._first())

    def _first(self) -> int:
        return next((place for place, row in enumerate(self._rows) if row.value is not None), 0)

    def go_to(self, value: str) -> None:
        """Puts the cursor on what is in the field, or else on the first that can be taken."""
        places = (place for place, row in enumerate(self._rows) if row.value == value)
        self.move_to(next(places, self._first()))

    def cursor_span(self, width: int) -> tuple[int, int]:
        """No cursor is shown until the pane has the focus."""
        return (0, width) if self.active else (0, 0)

    def action_choose(self) -> None:
        """Takes the row, before any key that comes behind."""
        self._on_take()

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        """A click takes it."""
        self._on_take()

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        offer = self.offer
        if action == "choose" and (offer is None or offer.value is None):
            return "There is nothing to take in this row."
        return ""

    def row(self, row: int, width: int) -> Line:
        """A row."""
        each = self._rows[row]
        style = getattr(self.ink, each.style)
        if not each.detail:
            return [(f" {cut(each.text, width - 2)}", style)]
        room = min(self._room, max(8, width // 2))
        return [
            (f" {left(each.text, room)}", style),
            (f"  {cut(each.detail, max(0, width - room - 4))}", self.ink.muted),
        ]
