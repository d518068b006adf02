"""A pane of facts about the line under a cursor elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from layerscope.tui.format import Line, left, wrap
from layerscope.tui.widgets.row_view import RowView

_LABEL = 11


class Fact(NamedTuple):
    """A fact.

    Attributes:
        label: What it is about.
        text: What it says; safe to show.
        style: Name of a palette style.
    """

    label: str
    text: str
    style: str = "text"


class Facts(RowView):
    """Facts, wrapped to the width of the pane."""

    HAS_CURSOR = False

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._facts: Sequence[Fact] = ()
        self._made: list[Line] = []
        self._made_for: tuple[int, str] = (0, "")

    def show(self, facts: Sequence[Fact]) -> None:
        """Shows other facts."""
        self._facts = facts
        self._made_for = (0, "")
        self.top = 0
        self._make()
        self.set_rows(len(self._made))

    def on_resize(self) -> None:
        """Wraps the lines anew."""
        self.show(self._facts)

    def row(self, row: int, width: int) -> Line:
        """A line."""
        self._make()
        return self._made[row] if row < len(self._made) else []

    def _make(self) -> None:
        # A cell is kept for the scroll bar.
        width = max(1, self.size.width - 1)
        if self._made_for == (width, self.app.theme):
            return
        self._made_for = (width, self.app.theme)
        self._made = []
        for fact in self._facts:
            for place, part in enumerate(wrap(fact.text, max(8, width - _LABEL - 2))):
                label = left("" if place else fact.label, _LABEL)
                ink = getattr(self.ink, fact.style)
                self._made.append([(f" {label}", self.ink.muted), (part, ink)])
