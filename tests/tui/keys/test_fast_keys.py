"""Keys that come faster than what they open."""

from __future__ import annotations

import pytest
from textual import events

from tests.tui.conftest import Drive

_CHARACTERS = {"slash": "/", "question_mark": "?", "space": " "}


@pytest.mark.parametrize(
    "keys",
    [
        ("ctrl+o", "x", "x", "x"),
        ("ctrl+o", "escape", "escape", "z"),
        ("b", "tab", "shift+tab", "down"),
        ("b", "enter", "enter"),
        ("b", "ctrl+n", "ctrl+l"),
        ("w", "enter", "enter", "enter"),
        ("y", "p", "p", "escape"),
        ("question_mark", "q", "escape", "escape"),
        ("ctrl+p", "enter", "enter"),
        ("J", "escape", "escape", "z"),
        ("3", "v", "escape", "escape"),
    ],
    ids="-".join,
)
async def test_keys_behind_what_they_open_end_nothing(drive: Drive, keys: tuple[str, ...]) -> None:
    async with drive() as ui:
        for key in keys:
            character = key if len(key) == 1 else _CHARACTERS.get(key)
            ui.app.post_message(events.Key(key, character))
        await ui.calm()
        await ui.calm()
        assert ui.app.is_running
        for _ in range(3):
            await ui.press("escape")
        assert ui.app.screen_stack[0] is ui.main
        assert "layerscope" in ui.text


@pytest.mark.parametrize("opened", ["ctrl+o", "ctrl+p", "b", "o", "w", "y", "J", "question_mark"])
async def test_what_was_dismissed_is_not_dismissed_again(drive: Drive, opened: str) -> None:
    async with drive() as ui:
        await ui.press(opened)
        screen = ui.app.screen
        assert screen is not ui.main
        for _ in range(3):
            screen.dismiss()
        await ui.calm()
        await ui.calm()
        assert ui.app.is_running
        assert ui.app.screen_stack[-1] is ui.main


async def test_a_screen_goes_with_what_is_over_it(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("w")
        below = ui.app.screen
        await ui.press("question_mark")
        assert ui.app.screen is not below
        below.dismiss()
        await ui.calm()
        assert ui.app.screen is ui.main
