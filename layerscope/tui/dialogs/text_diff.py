"""A dialog with the diff of two texts."""

from __future__ import annotations

from textual.app import ComposeResult

from layerscope.content.line_diff import diff_lines, unified
from layerscope.text import visible
from layerscope.tui.base_screen import AppModal
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import Line, cut
from layerscope.tui.rows.row_view import RowView


class _Lines(RowView):
    HAS_CURSOR = False

    def __init__(self, lines: list[str], title: str) -> None:
        super().__init__("help-rows")
        self._texts = lines
        self._title = title

    def on_mount(self) -> None:
        self.set_texts(self._title, "esc goes back")
        self.set_rows(len(self._texts))

    def row(self, row: int, width: int) -> Line:
        text, colors = self._texts[row], self.palette
        styles = {"+": colors.added, "-": colors.removed, "@": colors.muted}
        style = styles.get(text[:1], colors.text)
        return [(cut(text, width), style)]


class TextDiffScreen(AppModal[None], screen="text_diff", heading="Two texts"):
    CSS_PATH = "../keys/help.tcss"
    KEYS = (Key("text_diff.back", "escape,enter,q", "dismiss", "Back"),)

    def __init__(self, title: str, old: bytes, new: bytes) -> None:
        super().__init__()
        lines = [
            visible(line.decode("utf-8", "surrogateescape").rstrip("\n").expandtabs(4))
            for line in unified(diff_lines(old, new))
        ]
        self._lines = _Lines(lines or ["They are the same."], title)

    def compose(self) -> ComposeResult:
        yield self._lines

    def on_mount(self) -> None:
        self._lines.styles.width = "100%"
        self.set_focus(self._lines)
