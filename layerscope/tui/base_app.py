"""The part of the app that screens use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.dom import DOMNode
from textual.screen import Screen

from layerscope.tui.keys.key import ALWAYS, LAST, Key, Keyed
from layerscope.tui.terminal.compat import CellApp
from layerscope.tui.terminal.glyphs import Level
from layerscope.tui.terminal.theme import Palette, palette_of

if TYPE_CHECKING:
    from layerscope.tui.destinations import Destination


class BaseApp(Keyed, CellApp, inherit_bindings=False, heading="Everywhere"):
    KEYS = (
        Key("app.help", "question_mark", "help", "Help", hint="*", rank=ALWAYS),
        Key(
            "app.palette",
            "ctrl+p",
            "command_palette",
            "Palette",
            hint="*",
            rank=LAST,
            priority=True,
        ),
        Key("app.login", "I", "login", "Log in…", "Log in to a registry, or log out"),
        Key("app.jobs", "J", "jobs", "Jobs", "Show jobs, running and finished"),
        Key("app.jump", "ctrl+o", "jump", "Jump", "Jump to a pane, a row or a heading"),
        Key("app.quit", "q", "quit", "Quit", hint="*", rank=ALWAYS),
        Key("app.quit_always", "ctrl+c,ctrl+q", "quit", "Quit"),
        Key("app.suspend", "ctrl+z", "suspend_process", "Suspend"),
        Key("app.repaint", "ctrl+l", "repaint", "Draw everything again"),
    )

    glyphs: Level = Level.UNICODE  # Which characters the terminal can show.
    wrap = False  # Whether long lines of text continue in the next row.
    line_numbers = True  # Whether texts have line numbers.
    insecure = False  # Whether registries may lack TLS or a valid certificate.
    seen_ends: set[str]  # Ids of the jobs whose end the user has seen.
    running_jobs: Sequence[str] = ()  # Ids of all running jobs, including those of other processes.
    keymap: Mapping[str, str]  # Keys that replace the default ones, by binding id.
    destinations: Mapping[str, Destination]  # By name.
    _palette: Palette | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._said: set[str] = set()

    @property
    def palette(self) -> Palette:
        if self._palette is None or self._palette.theme != self.theme:
            self._palette = palette_of(self.current_theme, self.theme_variables)
        return self._palette

    def say(self, text: str) -> None:
        """Shows a sentence, which must be safe to show, on the current screen."""
        raise NotImplementedError

    def say_if(self, text: str | None) -> None:
        if text:
            self.say(text)

    @property
    def aside(self) -> Iterable[Screen[Any]]:
        """The screens that the user left for a place on the main screen, and can return to."""
        raise NotImplementedError

    def return_to(self, screen: Screen[Any]) -> None:
        """Returns to a screen that was set aside."""
        raise NotImplementedError

    def say_once(self, text: str) -> None:
        """Shows a sentence only once, about what does not change: an old engine, for example."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def copy(self, text: str, what: str) -> None:
        """Copies a text and says so; lone surrogates stand for bytes that are not UTF-8."""
        raise NotImplementedError


def app_of(node: DOMNode) -> BaseApp:
    app = node.app
    assert isinstance(app, BaseApp)  # noqa: S101
    return app
