"""Pictures of the help page, the palette, the choice of a theme, and the first start."""

from __future__ import annotations

import pytest

from layerscope.tui.app import LayerscopeApp
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.pictures import Before, Picture, Size, sizes


def app(source: str | None = "hello:latest", *, first: bool = False) -> LayerscopeApp:
    return LayerscopeApp(source, **fakes.parts(None, None), first=first)


def then(*keys: str) -> Before:
    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk(*keys)

    return before


CASES = {
    "help": ("3", "question_mark"),
    "help_filter": ("question_mark", "slash", *"one log", "enter"),
    "help_topic": ("question_mark", "right_square_bracket"),
    "palette": ("1", "ctrl+p", *"prune"),
    "unavailable": ("ctrl+p", *"match"),
    "theme": ("ctrl+p", *"dark", "enter", "down"),
    "keep": ("ctrl+p", *"dark", "enter", "down", "enter"),
    "message": ("n",),
}


@sizes()
@pytest.mark.parametrize("case", CASES)
def test_screen(picture: Picture, monkeypatch: pytest.MonkeyPatch, case: str, size: Size) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/me/.config")
    picture(app(), size, then(*CASES[case]))


@sizes()
@pytest.mark.parametrize("source", ["hello:latest", None])
def test_first_start(picture: Picture, source: str | None, size: Size) -> None:
    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.until(lambda: ui.message)

    picture(app(source, first=True), size, before)
