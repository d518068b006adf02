"""The line at the bottom that asks for something."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from layerscope.tui.widgets.text_entry import TextEntry


class PromptEntry(TextEntry):
    """What is typed in."""

    # Priority, for the same reason as in the filter.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Leave", id="prompt.leave", priority=True),
        Binding("enter", "take", "Take", id="prompt.take", priority=True),
    ]

    def __init__(self, end: Callable[[bool], None]) -> None:
        super().__init__(id="prompt-entry")
        self._end = end

    def on_input_changed(self, event: Input.Changed) -> None:
        """Not for others."""
        event.stop()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Not for others."""
        event.stop()

    def action_take(self) -> None:
        """Takes what was typed."""
        # Behind the keys that wait to be typed.
        self.call_later(self._end, True)

    def action_give_up(self) -> None:
        """Leaves it."""
        self.call_later(self._end, False)


class Prompt(Horizontal):
    """A label and an input, hidden until something is asked."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        """Makes it.

        Args:
            on_close: Called when it has been answered or left, to put the focus elsewhere at once.
        """
        super().__init__(id="prompt")
        self._label = Static(id="prompt-label")
        self._entry = PromptEntry(self._end)
        self._on_close = on_close
        self._answer: Callable[[str], None] | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        """The label and the input."""
        yield self._label
        yield self._entry

    def ask(self, label: str, text: str, hint: str, answer: Callable[[str], None]) -> None:
        """Asks.

        Args:
            label: What for; safe to show.
            text: What is there to begin with.
            hint: What to show while nothing is typed.
            answer: Called with what was typed, if anything was.
        """
        self._answer = answer
        self._label.update(Content(label))
        self._entry.placeholder = hint
        self._entry.value = text
        self._entry.cursor_position = len(text)
        self.display = True
        self.screen.set_focus(self._entry, scroll_visible=False)

    def _end(self, taken: bool) -> None:
        if not self.display:
            return
        self.display = False
        answer, self._answer = self._answer, None
        text = self._entry.value
        self._on_close()
        if taken and text and answer is not None:
            answer(text)
