"""The input line for a filter, at the bottom."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from layerscope.tui.dialogs.text_entry import BarEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import KeyBar

_PAUSE = 0.06


class FilterBar(BarEntry, heading="While a filter is typed"):
    """An input that reports its text after a pause, so that fast typing causes one search."""

    # Priority: without it a key is handled later, and the next one would become part of the filter.
    KEYS = (
        Key("filter.clear", "escape", "give_up", "Clear", priority=True),
        Key("filter.keep", "enter,down", "take", "Keep", priority=True),
    )

    class Typed(Message):
        """The filter has changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, keys: KeyBar, pane: Callable[[], Widget]) -> None:
        super().__init__(self._close, id="filter")
        self._keys = keys  # The widget that it replaces.
        self._pane = pane  # Returns the pane that gets the focus when typing ends.
        self._pending: Timer | None = None
        self._told = ""

    def open(self, text: str, hint: str, *, anew: bool = False) -> None:
        """Shows the bar; with `anew`, the first letter replaces the text."""
        self._told = text
        self.placeholder = hint
        self.value = text
        self.cursor_position = len(text)
        if anew:
            self.select_all()
        self._keys.display, self.display = False, True
        # `focus` would take effect after the next keys, which are meant for this input.
        self.screen.set_focus(self, scroll_visible=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._pending is not None:
            self._pending.stop()
        self._pending = self.set_timer(_PAUSE, self._tell)

    def _close(self, taken: bool) -> None:
        if not self.display:
            return
        if not taken:
            self.value = ""
        self._tell()
        self._keys.display, self.display = True, False
        self.screen.set_focus(self._pane(), scroll_visible=False)
        self.screen.refresh_bindings()

    def _tell(self) -> None:
        if self._pending is not None:
            self._pending.stop()
            self._pending = None
        if self.display and self.value != self._told:
            self._told = self.value
            self.post_message(self.Typed(self.value))
