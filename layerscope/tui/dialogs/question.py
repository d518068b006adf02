"""A question with a few answers, each with a letter."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events

from layerscope.tui.dialogs.dialog import ChoicesDialog
from layerscope.tui.keys.key import Key

#: A letter and its meaning.
Answer = tuple[str, str]


class QuestionScreen(ChoicesDialog, screen="question", heading="A question"):
    """A question; returns the letter of the answer, or None."""

    ANSWERS = "a letter or enter answers, esc goes back"
    KEYS = (
        Key("question.take", "enter", "take", "Take the answer"),
        Key("question.back", "escape", "dismiss(None)", "Back"),
    )

    def __init__(self, title: str, text: str, answers: Sequence[Answer]) -> None:
        """Both texts must be safe to show; the details may be empty.

        A stray enter chooses the first answer, so that must never be one that loses something.
        """
        super().__init__(title, text, answers, [letter for letter, _ in answers])

    def on_key(self, event: events.Key) -> None:
        if event.character and event.character in self.values:
            event.stop()
            event.prevent_default()
            self.dismiss(event.character)
