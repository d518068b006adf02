"""A pane with help for the word under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.text import visible
from layerscope.tui.rows.facts import MadeRows
from layerscope.tui.rows.format import Line, wrap

if TYPE_CHECKING:
    from layerscope.dockerfile.editing.help import Help


class HelpPane(MadeRows):
    can_focus = False

    def __init__(self) -> None:
        super().__init__("help")
        self._help: Help | None = None

    def show(self, found: Help | None) -> None:
        if found == self._help and self.row_count:
            return
        self._help = found
        self.top = 0
        self.set_placeholder(("Move to an instruction to see help on it.", "muted"))
        self.set_texts("Help" if found is None else found.title)
        self.update()

    def lines(self, width: int) -> list[Line]:
        found, colors = self._help, self.palette
        lines: list[Line] = []
        # A narrower pane is hidden.
        if found is not None and width > 8:
            texts = (found.syntax, "accent"), (found.text, "text"), (found.example, "muted")
            for text, style in texts:
                parts = text.split("\n") if text else []
                if parts and lines:
                    lines.append([])
                for part in parts:
                    rows = wrap(visible(part), width - 1)
                    lines += [[(" ", colors.text), (row, colors.named(style))] for row in rows]
        return lines
