"""A prompt at the bottom of a screen."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from layerscope.tui.base_screen import AppScreen
from layerscope.tui.dialogs.text_entry import BarEntry
from layerscope.tui.keys.key import Key


class PromptEntry(BarEntry, heading="While something is typed"):
    # Priority, for the same reason as in the filter.
    KEYS = (
        Key("prompt.leave", "escape", "give_up", "Leave", priority=True),
        Key("prompt.take", "enter", "take", "Take", priority=True),
    )

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()


class Prompt(Horizontal):
    """A label and an input, hidden until `ask` is called."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        super().__init__(id="prompt")
        self._label = Static(id="prompt-label")
        self._entry = PromptEntry(self._end, id="prompt-entry")
        self._on_close = on_close  # Called when typing ends; must move the focus immediately.
        self._answer: Callable[[str], None] | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._label
        yield self._entry

    def ask(self, label: str, text: str, hint: str, answer: Callable[[str], None]) -> None:
        """Asks for a text; the label must be safe to show. `answer` is not called with ""."""
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


class PromptScreen(AppScreen[None]):
    """A screen with a prompt that replaces its key bar."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt = Prompt(self._end_prompt)  # The label and the input.
        self.bottom_line.append(self.prompt)
        self._asked_from: Widget | None = None

    def ask(self, label: str, text: str, hint: str, answer: Callable[[str], None]) -> None:
        """Asks for a text; see `Prompt.ask`. The focus returns to where it was."""
        # One question can follow another.
        if not self.prompt.display:
            self._asked_from = self.focused
        self.keys.display = False
        self.prompt.ask(label, text, hint, answer)

    def _end_prompt(self) -> None:
        self.keys.display = True
        self.set_focus(self._asked_from, scroll_visible=False)
        self.refresh_bindings()
