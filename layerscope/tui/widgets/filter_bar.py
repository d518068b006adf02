"""The line at the bottom while a filter is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from layerscope.tui.widgets.text_entry import TextEntry

_PAUSE = 0.06


class FilterBar(TextEntry):
    """An input that tells what was typed after a short pause, so that fast typing is one search."""

    # Priority, because a key without it goes a long way round, and one typed right behind it would
    # still be taken for a part of the filter.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Clear", id="filter.clear", priority=True),
        Binding("enter,down", "keep", "Keep", id="filter.keep", priority=True),
    ]

    class Typed(Message):
        """The filter is another one."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, on_close: Callable[[], None]) -> None:
        """Makes a bar that is hidden.

        Args:
            on_close: Called when the user has ended typing, to put the focus elsewhere at once.
        """
        super().__init__(id="filter")
        self._on_close = on_close
        self._pending: Timer | None = None
        self._told = ""

    def open(self, text: str, hint: str, *, anew: bool = False) -> None:
        """Shows the bar.

        Args:
            text: The filter so far.
            hint: What to show while nothing is typed.
            anew: Whether the first letter takes the place of the text.
        """
        self._told = text
        self.placeholder = hint
        self.value = text
        self.cursor_position = len(text)
        if anew:
            self.select_all()
        self.display = True
        # `focus` waits for its turn behind the next keys, which are meant for this input.
        self.screen.set_focus(self, scroll_visible=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Waits a moment."""
        event.stop()
        if self._pending is not None:
            self._pending.stop()
        self._pending = self.set_timer(_PAUSE, self._tell)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Not for others."""
        event.stop()

    def action_keep(self) -> None:
        """Ends typing; the filter stays."""
        # Behind the keys that wait to be typed.
        self.call_later(self._end, True)

    def action_give_up(self) -> None:
        """Ends typing; the filter goes."""
        self.call_later(self._end, False)

    def _end(self, kept: bool) -> None:
        if not self.display:
            return
        if not kept:
            self.value = ""
        self._tell()
        self.display = False
        self._on_close()

    def _tell(self) -> None:
        if self._pending is not None:
            self._pending.stop()
            self._pending = None
        if self.display and self.value != self._told:
            self._told = self.value
            self.post_message(self.Typed(self.value))
