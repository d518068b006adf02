"""The line at the bottom while a filter is typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

_PAUSE = 0.08


class FilterBar(Input):
    """An input that tells what was typed after a short pause, so that fast typing is one search."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Clear", id="filter.clear"),
        Binding("enter", "keep", "Keep", id="filter.keep"),
        Binding("down", "keep", "Keep", id="filter.down", show=False),
    ]

    class Typed(Message):
        """The filter is another one."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The user has ended typing."""

        def __init__(self, kept: bool) -> None:
            super().__init__()
            self.kept = kept

    def __init__(self) -> None:
        super().__init__(id="filter", compact=True, select_on_focus=False)
        self.cursor_blink = False
        self._pending: Timer | None = None
        self._told = ""

    def open(self, text: str, hint: str) -> None:
        """Shows the bar.

        Args:
            text: The filter so far.
            hint: What to show while nothing is typed.
        """
        self._told = text
        self.placeholder = hint
        self.value = text
        self.cursor_position = len(text)
        self.display = True
        self.focus()

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
        self._tell()
        self.post_message(self.Closed(True))

    def action_give_up(self) -> None:
        """Ends typing; the filter goes."""
        self.value = ""
        self._tell()
        self.post_message(self.Closed(False))

    def _tell(self) -> None:
        if self._pending is not None:
            self._pending.stop()
            self._pending = None
        if self.display and self.value != self._told:
            self._told = self.value
            self.post_message(self.Typed(self.value))
