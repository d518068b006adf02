"""The questions and messages of an editor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.tui.dialogs.question import Answer, QuestionScreen
from layerscope.tui.dialogs.text_diff import TextDiffScreen


@dataclass(frozen=True, slots=True)
class Dialogs:
    """Ways to talk to the user; all texts must be safe to show."""

    say: Callable[[str], object]  # Shows a sentence at the bottom.
    #: Asks for a text, by label, initial text, hint and a function that takes the answer.
    prompt: Callable[[str, str, str, Callable[[str], None]], object]
    #: Shows a screen, by the screen and a function that takes its result.
    push: Callable[[Any, Callable[[Any], None]], object]
    undisturbed: Callable[[], bool]  # Whether no dialog is open.

    def question(
        self, title: str, text: str, answers: Sequence[Answer], take: Callable[[str | None], None]
    ) -> None:
        self.push(QuestionScreen(title, text, answers), take)

    def difference(self, title: str, old: bytes, new: bytes, then: Callable[[], None]) -> None:
        self.push(TextDiffScreen(title, old, new), lambda _: then())
