"""Help on what is under the cursor, at the side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.text import visible
from layerscope.tui.format import Line, wrap
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.dockerfile.help import Help


class HelpPane(RowView):
    """Help, wrapped to the width that there is."""

    HAS_CURSOR = False
    can_focus = False

    def __init__(self, name: str = "help") -> None:
        super().__init__(name)
        self._help: Help | None = None
        self._wrapped: tuple[int, list[tuple[str, str]]] = (0, [])

    def show(self, found: Help | None) -> None:
        """Shows help; none is said to be none."""
        if found == self._help and self._wrapped[1]:
            return
        self._help, self._wrapped = found, (0, [])
        self.top = 0
        self.set_placeholder(("Help on the instruction under the cursor is shown here.", "muted"))
        self.set_texts("Help" if found is None else found.title)
        self._fill()

    def on_resize(self) -> None:
        """Wraps anew."""
        self._fill()

    def row(self, row: int, width: int) -> Line:
        """A line."""
        text, style = self._wrapped[1][row]
        return [(" ", self.ink.text), (text, getattr(self.ink, style))]

    def _fill(self) -> None:
        width = self.size.width - 2
        if width < 8:
            # Out of sight; it is wrapped once there is room.
            self._wrapped = (0, [])
            self.set_rows(0)
            return
        if self._wrapped[0] != width:
            self._wrapped = (width, self._texts(width))
        self.set_rows(len(self._wrapped[1]))

    def _texts(self, width: int) -> list[tuple[str, str]]:
        found = self._help
        if found is None:
            return []
        lines: list[tuple[str, str]] = []
        for text, style in (
            (found.syntax, "accent"),
            (found.text, "text"),
            (found.example, "muted"),
        ):
            if not text:
                continue
            if lines:
                lines.append(("", "text"))
            for part in text.split("\n"):
                lines += [(line, style) for line in wrap(visible(part), width)]
        return lines
