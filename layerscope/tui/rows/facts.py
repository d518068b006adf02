"""Panes whose rows depend on their width, such as facts about a row of another pane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.geometry import Size

from layerscope.tui.rows.columns import Cell
from layerscope.tui.rows.format import Line, left, wrap
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.theme import Palette

LABEL = 11


class Fact(NamedTuple):
    label: str
    text: str  # Safe to show.
    style: str = "text"  # Name of a palette style.


def fact_lines(fact: Fact, width: int, colors: Palette) -> list[Line]:
    lines: list[Line] = []
    for part in wrap(fact.text, max(8, width - LABEL - 2)):
        label = left("" if lines else fact.label, LABEL)
        lines.append([(f" {label}", colors.muted), (part, colors.named(fact.style))])
    return lines


class MadeRows(RowView):
    """Rows that are rebuilt when the width of the pane or the theme changes."""

    HAS_CURSOR = False

    def __init__(self, name: str, title: str = "") -> None:
        super().__init__(name, title)
        self._made: list[Line] = []
        self._made_for: tuple[int, str] = (0, "")

    def lines(self, width: int) -> list[Line]:
        """Returns the rows, at most `width` cells wide."""
        raise NotImplementedError

    def update(self) -> None:
        self._made_for = (0, "")
        self._make()
        self.set_rows(len(self._made))

    def on_resize(self) -> None:
        self.update()

    def row(self, row: int, width: int) -> Line:
        self._make()
        return self._made[row] if row < len(self._made) else []

    def _make(self) -> None:
        # Always reserves a cell for the scroll bar, to avoid wrapping twice.
        width = max(1, self.size.width - 1)
        if self._made_for != (width, self.app.theme):
            self._made_for = (width, self.app.theme)
            self._made = self.lines(width)


class Note(MadeRows, can_focus=False):
    """Wrapped texts without a cursor, in a pane that can fit their height."""

    def __init__(self, name: str, title: str) -> None:
        super().__init__(name, title)
        self._texts: Sequence[Cell] = ()

    def show(self, *texts: Cell) -> None:
        """Shows texts, which must be safe to show."""
        if texts != self._texts:
            self._texts = texts
            self.update()
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.lines(max(1, width - 1)))

    def lines(self, width: int) -> list[Line]:
        return [
            [(f" {row}", self.palette.named(style))]
            for text, style in self._texts
            for row in wrap(text, width - 1)
        ]


class Facts(MadeRows):
    def __init__(self, name: str, title: str = "Details") -> None:
        super().__init__(name, title)
        self._facts: Sequence[Fact] = ()

    def show(self, facts: Sequence[Fact]) -> None:
        self._facts = facts
        self.top = 0
        self.update()

    def lines(self, width: int) -> list[Line]:
        return [line for fact in self._facts for line in fact_lines(fact, width, self.palette)]
