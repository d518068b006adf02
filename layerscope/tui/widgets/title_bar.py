"""The line at the top: which image, from where, and what is going on."""

from __future__ import annotations

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from layerscope.tui.format import Line, cut, length
from layerscope.tui.strips import changed_span
from layerscope.tui.theme import palette


class TitleBar(Widget):
    """Name of the program, image, facts; at the right progress, a notice, or the engine."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__(id="title")
        self._reference = ""
        self._facts = ""
        self._right = ""
        self._style = "muted"
        self._strip: Strip | None = None

    def set_image(self, reference: str, facts: str) -> None:
        """Names the image; texts must be safe to show."""
        self._reference, self._facts = reference, facts
        self._redraw()

    def set_right(self, text: str, style: str = "muted") -> None:
        """Sets what is at the right.

        Args:
            text: The text.
            style: Name of a palette style.
        """
        self._right, self._style = text, style
        self._redraw()

    def notify_style_update(self) -> None:
        """Another theme."""
        self._strip = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """The line."""
        if self._strip is None or self._strip.cell_length != self.size.width:
            self._strip = self._make()
        return self._strip

    def _redraw(self) -> None:
        if not self.size.width:
            return
        old, new = self._strip, self._make()
        span = (0, self.size.width) if old is None else changed_span(old, new)
        if span is not None:
            self._strip = new
            self.refresh(Region(span[0], 0, span[1] - span[0], 1))

    def _make(self) -> Strip:
        colors = palette(self.app)
        width = self.size.width
        line: Line = [(" layerscope", colors.accent + colors.strong)]
        right = cut(self._right, max(0, width - 13))
        room = width - length(line) - length([(right, colors.text)]) - 4
        if self._reference and room > 8:
            name = cut(self._reference, room)
            line += [("  ", colors.text), (name, colors.strong)]
            facts = cut(self._facts, room - length([(name, colors.text)]) - 2)
            if len(facts) > 8:
                line += [("  ", colors.text), (facts, colors.muted)]
        gap = max(1, width - length(line) - length([(right, colors.text)]) - 1)
        line += [(" " * gap, colors.text), (right, getattr(colors, self._style))]
        return (
            Strip([Segment(text, style) for text, style in line if text])
            .adjust_cell_length(width, colors.text)
            .apply_style(colors.base)
        )
