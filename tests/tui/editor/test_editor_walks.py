"""Keys in any order: the editor never fails nor loses track of its text; lines fit."""

from __future__ import annotations

import asyncio
import random

import pytest
from textual import events

from layerscope.dockerfile.editing import shown_text
from layerscope.tui.editor.area_lines import first_in_sight, line_cells
from layerscope.tui.editor.screen import EditorScreen
from tests.tui.editor.test_editor import TEXT, editing, here

__all__ = ["here"]

HOSTILE = 'FROM a\nRUN <<E\n\t日本\u202e x\ty\nE\nCOPY ["a"]\n'.encode() * 3 + b"\xff\r\n"
#: Nothing that asks, leaves or saves.
KEYS: list[str] = [
    *"FROMCOPYRUN \\\"'[]{}<>=-/:.#$é日",
    *("enter", "tab", "backspace", "delete", "up", "down", "left", "right", "home", "end"),
    *("pageup", "pagedown", "ctrl+home", "ctrl+end", "shift+up", "shift+down", "shift+left"),
    *("shift+end", "ctrl+a", "ctrl+x", "ctrl+v", "ctrl+z", "ctrl+y", "ctrl+w", "ctrl+u"),
    *("ctrl+k", "ctrl+n", "ctrl+t", "f8", "shift+f8", "f1", "f3", "f6"),
]


@pytest.mark.parametrize("seed", range(3))
async def test_any_keys_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    texts: list[str | bytes] = [TEXT, "", HOSTILE]
    text = chance.choice(texts)
    async with editing(text, size=(80, 24)) as ui:
        for _ in range(120):
            key = chance.choice(KEYS)
            ui.app.post_message(events.Key(key, key if len(key) == 1 else None))
            if chance.random() < 0.3:
                await asyncio.sleep(0.005)
            if chance.random() < 0.03:
                await ui.pilot.resize_terminal(
                    chance.choice([20, 80, 120]), chance.choice([6, 24, 40])
                )
        await ui.calm()
        await ui.quiet()
        screen = ui.app.screen
        assert isinstance(screen, EditorScreen)
        assert shown_text.written(screen.area.text) == screen.draft.text
        assert screen.draft.current
        assert all(ord(character) >= 32 for line in ui.lines for character in line)


async def test_long_lines_scroll_to_the_side_with_wide_characters_and_tabs() -> None:
    line = "RUN " + "日本\tx" * 30
    async with editing(f"FROM a\n{line}\n", size=(60, 20)) as ui:
        await ui.press("down", "end")
        area = ui.screen.area
        strip = area.render_line(1)
        assert strip.cell_length == area.size.width
        assert strip.text.rstrip().endswith("x")
        for _ in range(12):
            await ui.press("left")
            assert all(area.render_line(y).cell_length == area.size.width for y in range(5))


@pytest.mark.parametrize("line", ["", "abc", "日本x", "\ta\t日", "e\u0301x"])
def test_where_a_line_is_cut_fits_what_it_measures(line: str) -> None:
    for left in range(line_cells(line) + 3):
        first, cell = first_in_sight(line, left)
        assert cell >= left
        assert first == len(line) or line_cells(line[:first]) == cell
    assert first_in_sight(line, 0) == (0, 0)
