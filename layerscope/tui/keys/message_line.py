"""Messages: a few lines above the key bar, hidden when empty."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from layerscope.tui.base_app import app_of
from layerscope.tui.rows.format import cells, cut, wrap

#: The most lines of a message.
_MOST = 3


class MessageLine(Widget):
    """Covers the bottom of the body, so that nothing moves for a message."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__(id="message")
        self.text = ""  # Empty while hidden.
        self.display = False
        self._stays = False

    def say(self, text: str, *, stays: bool = False) -> None:
        """Shows lines that are safe to show; "" hides them.

        A message that `stays` remains until another one, or until a screen opens or closes.
        """
        self._stays = stays
        if text != self.text:
            self.text = text
            self.display = bool(text)
            self.refresh(layout=True)

    def take_key(self, key: str) -> None:
        """Hides the message, which has been read."""
        if not self._stays or key in ("enter", "escape", "question_mark"):
            self.say("")

    def get_content_width(self, container: Size, viewport: Size) -> int:
        needed = max((cells(line) + 2 for line in self._lines(container.width)), default=0)
        # A long message takes the whole width.
        return container.width if 4 * needed > 3 * container.width else needed

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(container.width))

    def render_line(self, y: int) -> Strip:
        colors, width = app_of(self).palette, self.size.width
        lines = self._lines(self.screen.size.width)
        text = lines[y] if y < len(lines) else ""
        strip = Strip([Segment(f" {text}", colors.warning)])
        return strip.adjust_cell_length(width, Style()).apply_style(colors.base)

    def _lines(self, width: int) -> list[str]:
        room = max(1, width - 2)
        found = [line for part in self.text.splitlines() for line in wrap(part, room)]
        if len(found) > _MOST:
            found[_MOST - 1 :] = [cut(" ".join(found[_MOST - 1 :]), room)]
        return found
