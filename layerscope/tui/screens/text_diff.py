"""Two texts, line by line, where they differ."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from layerscope.content.line_diff import diff_lines, unified
from layerscope.text import visible
from layerscope.tui.format import Line, cut
from layerscope.tui.widgets.row_view import RowView


class _Lines(RowView):
    HAS_CURSOR = False

    def __init__(self, lines: list[str], title: str) -> None:
        super().__init__("help-rows")
        self._texts = lines
        self._title = title

    def on_mount(self) -> None:
        """Shows them."""
        self.set_texts(self._title, "esc goes back")
        self.set_rows(len(self._texts))

    def row(self, row: int, width: int) -> Line:
        """A line."""
        text, ink = self._texts[row], self.ink
        style = {"+": ink.added, "-": ink.removed, "@": ink.muted}.get(text[:1], ink.text)
        return [(cut(text, width), style)]


class TextDiffScreen(ModalScreen[None], inherit_bindings=False):
    """The differences, until the user goes back."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Back", key_display="esc", id="text_diff.back"),
    ]

    def __init__(self, title: str, old: bytes, new: bytes) -> None:
        """Makes the page.

        Args:
            title: What is compared; safe to show.
            old: The one text; its lines are marked by a minus.
            new: The other.
        """
        super().__init__()
        lines = [
            visible(line.decode("utf-8", "surrogateescape").rstrip("\n").expandtabs(4))
            for line in unified(diff_lines(old, new))
        ]
        self._lines = _Lines(lines or ["They are the same."], title)

    def compose(self) -> ComposeResult:
        """The lines."""
        yield self._lines

    def on_mount(self) -> None:
        """Ready to scroll."""
        self._lines.styles.width = "100%"
        self.set_focus(self._lines)
