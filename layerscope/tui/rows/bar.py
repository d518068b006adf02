"""The base of one-line bars: the title at the top, the keys at the bottom."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from layerscope.tui.base_app import app_of
from layerscope.tui.rows.format import Line


class Bar(Widget):
    """A line that is painted only when its text changes."""

    ALLOW_SELECT = False

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._strip: Strip | None = None

    def line(self, width: int) -> Line:
        raise NotImplementedError

    def redraw(self) -> None:
        if self.size.width and self.is_attached:
            old, self._strip = self._strip, self._make()
            if self._strip != old:
                self.refresh()

    def notify_style_update(self) -> None:
        self._strip = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        if self._strip is None or self._strip.cell_length != self.size.width:
            self._strip = self._make()
        return self._strip

    def _make(self) -> Strip:
        colors, width = app_of(self).palette, self.size.width
        return (
            Strip([Segment(text, style) for text, style in self.line(width) if text])
            .adjust_cell_length(width, colors.text)
            .apply_style(colors.base)
        )
