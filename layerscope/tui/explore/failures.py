"""Offers alternatives when an image cannot be opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import App

from layerscope.text import visible
from layerscope.tui.dialogs.choice import ChoiceScreen
from layerscope.tui.dialogs.dialog import MessageScreen
from layerscope.tui.dialogs.question import Answer, QuestionScreen
from layerscope.tui.work import Problem


@dataclass(frozen=True)
class Failures:
    _app: Callable[[], App[Any]]
    _open: Callable[..., object]  # Opens a source, perhaps for a platform.
    _pull: Callable[[str], object]  # Asks whether to pull a reference.

    def show(self, source: str, problem: Problem) -> None:
        """Says why a source cannot be opened, and offers alternatives."""
        if problem.choices:
            self._choose(problem.message, problem.choices)
        elif problem.platforms:
            self.ask_platform(source, problem.message, problem.platforms)
        elif problem.missing:
            self._offer_registry(problem)
        elif problem.login:
            self._offer_login(source, problem)
        elif not problem.cancelled:
            title = f"Cannot open {visible(source)}"
            self._app().push_screen(MessageScreen(title, problem.message, problem.hint))

    def _choose(self, title: str, sources: Sequence[str]) -> None:
        def chosen(source: str | None) -> None:
            if source is not None:
                self._open(source)

        self._app().push_screen(ChoiceScreen(title, sources), chosen)

    def ask_platform(self, source: str, title: str, platforms: Sequence[str]) -> None:
        def chosen(platform: str | None) -> None:
            if platform is not None:
                self._open(source, platform)

        self._app().push_screen(ChoiceScreen(title, platforms), chosen)

    def _offer_registry(self, problem: Problem) -> None:
        """Offers to pull an image that the engine lacks, or to open it in its registry."""
        from layerscope.oci.reference import parse_reference

        name = problem.missing
        registry = visible(parse_reference(name).domain)

        def take(letter: str | None) -> None:
            if letter == "p":
                self._pull(name)
            elif letter == "l":
                self._open(f"docker://{name}")

        answers = [
            ("p", f"Pull it from {registry}"),
            ("l", f"Look at it in {registry}, without a pull"),
        ]
        self._ask(f"Cannot open {visible(name)}", problem.message, answers, take)

    def _offer_login(self, source: str, problem: Problem) -> None:
        from layerscope.tui.dialogs.login import LoginScreen

        def again(changed: bool | None) -> None:
            if changed:
                self._open(source)

        def take(letter: str | None) -> None:
            if letter == "l":
                self._app().push_screen(LoginScreen(problem.login), again)

        answers = [("l", f"Log in to {visible(problem.login)}")]
        self._ask(f"Cannot open {visible(source)}", problem.message, answers, take)

    def _ask(
        self,
        title: str,
        text: str,
        answers: Sequence[Answer],
        take: Callable[[str | None], None],
    ) -> None:
        self._app().push_screen(QuestionScreen(title, text, answers), take)
