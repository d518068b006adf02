"""Asks a question that has a few answers, each with a letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from layerscope.tui.format import Line, cut
from layerscope.tui.widgets.row_view import RowView

#: A letter, and what it means.
Answer = tuple[str, str]


class _Answers(RowView):
    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__("answers")
        self.answers = answers

    def on_mount(self) -> None:
        """Shows them."""
        self.set_rows(len(self.answers))

    def row(self, row: int, width: int) -> Line:
        """An answer."""
        letter, text = self.answers[row]
        return [(f" {letter}  ", self.ink.accent), (cut(text, width - 5), self.ink.text)]


class QuestionScreen(ModalScreen[str | None], inherit_bindings=False):
    """A question; gives the letter of the answer, or None."""

    CSS_PATH = "message.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take the answer", id="question.take"),
        Binding("escape", "dismiss(None)", "Back", key_display="esc", id="question.back"),
    ]

    def __init__(self, title: str, text: str, answers: Sequence[Answer]) -> None:
        """Makes the question.

        Args:
            title: What is asked; safe to show.
            text: What there is to know of it; may be empty.
            answers: Letters and what they mean.
        """
        super().__init__()
        self._texts = title, text
        self._answers = _Answers(answers)

    def compose(self) -> ComposeResult:
        """The question and its answers."""
        title, text = self._texts
        with Vertical(id="message"):
            yield Static(Content(title), id="message-title")
            if text:
                yield Static(Content(text), id="message-text")
            yield self._answers
            yield Static(Content("a letter or enter answers, esc goes back"), id="message-keys")

    def on_mount(self) -> None:
        """Ready to answer."""
        self.set_focus(self._answers)

    def on_key(self, event: events.Key) -> None:
        """A letter answers."""
        if event.character and event.character in (letter for letter, _ in self._answers.answers):
            event.stop()
            event.prevent_default()
            self.dismiss(event.character)

    def on_row_view_chosen(self) -> None:
        """A click answers."""
        self.action_take()

    def action_take(self) -> None:
        """Gives the answer under the cursor."""
        self.dismiss(self._answers.answers[self._answers.cursor][0])
