"""The list below the fields of the build form: values to choose from, with details."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Column, ColumnList
from layerscope.tui.rows.format import Line, cut


@dataclass(frozen=True, slots=True)
class OfferRow:
    """A row; all texts are safe to show."""

    text: str
    detail: str = ""
    value: str | None = None  # What choosing the row puts into the field; None if it only informs.
    style: str = "text"  # Name of the palette style of the text.


class OfferList(ColumnList[OfferRow], screen="build_form", heading="What to build"):
    """Values for the field with the focus."""

    HEADER_ROWS = 0
    KEYS = (
        Key(
            "build_offers.take",
            "enter,space",
            "choose",
            "Take",
            "Put it into the field",
            lambda self: "" if self.value is not None else "This row has no value for the field.",
            "offers",
        ),
        Key(
            "build_offers.leave",
            "escape,tab,shift+tab",
            "screen.fields",
            "Field",
            "Back to the field",
            hint="offers",
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[OfferRow]]] = (
        # Ignores rows without details, which take the whole width.
        Column(
            "text",
            "",
            0,
            lambda row: (row.text if row.detail else "", row.style),
            grow=True,
            most=40,
            share=0.5,
        ),
        Column("detail", "", 0, lambda row: (row.detail, "muted"), flex=True),
    )

    def __init__(self, on_take: Callable[[str], object]) -> None:
        super().__init__("offers")
        self._on_take = on_take

    @property
    def value(self) -> str | None:
        return None if self.item is None else self.item.value

    def show_offers(self, title: str, rows: Sequence[OfferRow], *, stay: bool) -> None:
        """Shows the rows of a field; `stay` keeps the cursor where it is."""
        # Without a corner beside it, a title is not padded.
        self.set_texts(f" {title} ")
        if not stay:
            self.top = 0
        self.show(rows, self.cursor if stay else _first(rows))

    def go_to(self, value: str) -> None:
        """Puts the cursor on a value, or else on the first row with one."""
        rows = (number for number, row in enumerate(self.items) if row.value == value)
        self.move_to(next(rows, _first(self.items)))

    def cursor_span(self, width: int) -> tuple[int, int]:
        """No cursor is shown until the list has the focus."""
        return (0, width) if self.active else (0, 0)

    def action_choose(self) -> None:
        """Chooses the row at once, before later keys."""
        if self.value is not None:
            self._on_take(self.value)

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        self.action_choose()

    def row(self, row: int, width: int) -> Line:
        item = self.items[row]
        if item.detail:
            return super().row(row, width)
        return [(f" {cut(item.text, width - 2)}", self.palette.named(item.style))]


def _first(rows: Sequence[OfferRow]) -> int:
    return next((number for number, row in enumerate(rows) if row.value is not None), 0)
