"""Jump mode: letters over panes, rows and headings lead there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.tui.keys.jump import LETTERS, JumpScreen, labels
from tests.tui.conftest import Drive, Driven


@given(st.integers(0, 700))
def test_labels_are_short_and_none_begins_another(count: int) -> None:
    found = labels(count)
    assert len(found) == min(count, 26 * 26)
    assert len(set(found)) == len(found)
    singles = {label for label in found if len(label) == 1}
    assert not any(label[0] in singles for label in found if len(label) == 2)
    assert count > 26 or all(len(label) == 1 for label in found)
    assert found == sorted(found, key=len)


def test_every_letter_is_one() -> None:
    assert sorted(LETTERS) == sorted("abcdefghijklmnopqrstuvwxyz")


def letters_at(ui: Driven, x: int, y: int) -> str:
    """The label that begins at a cell."""
    screen = ui.app.screen
    assert isinstance(screen, JumpScreen)
    for name, target in screen._targets.items():
        if (target.x, target.y) == (x, y):
            assert ui.lines[y][x : x + len(name)] == name
            return name
    raise AssertionError(f"nothing leads to {x}, {y}:\n{ui.text}")


async def test_letters_lead_to_panes(drive: Drive) -> None:
    async with drive() as ui:
        for name in ("files", "details", "layers"):
            region = ui.app.screen.query_one(f"#{name}").region
            await ui.press("ctrl+o")
            await ui.press(*letters_at(ui, region.x + 1, region.y))
            assert ui.focus == name


async def test_letters_lead_to_rows_of_any_pane(drive: Drive) -> None:
    async with drive() as ui:
        region = ui.main.files.content_region
        await ui.press("ctrl+o")
        await ui.press(*letters_at(ui, region.x, region.y + 3))
        assert ui.focus == "files"
        assert ui.main.files.cursor == 2
        region = ui.main.layer_list.content_region
        await ui.press("ctrl+o")
        await ui.press(*letters_at(ui, region.x, region.y + 5))
        assert ui.focus == "layers"
        assert ui.main.layer_list.cursor == 4
        assert "layer 1" in ui.text


async def test_letters_lead_to_headings(drive: Drive) -> None:
    async with drive(None) as ui:
        region = ui.main.images.content_region
        x = ui.pane("images")[0].index("SIZE") + region.x
        heading = next(h for h in ui.main.images.headings(region.width) if h.key == "size")
        assert heading.start + region.x <= x
        await ui.press("ctrl+o")
        await ui.press(*letters_at(ui, region.x + heading.start, region.y))
        assert "SIZE ▾" in ui.text


@pytest.mark.parametrize("key", ["escape", "0", "enter", "ctrl+x"])
async def test_other_keys_leave(drive: Drive, key: str) -> None:
    async with drive() as ui:
        await ui.rest()
        before = ui.text
        await ui.press("ctrl+o")
        assert isinstance(ui.app.screen, JumpScreen)
        assert ui.text != before
        await ui.press(key)
        assert ui.text == before


async def test_the_first_of_two_letters_can_be_taken_back(drive: Drive) -> None:
    async with drive(size=(200, 60)) as ui:
        await ui.press("3", "t", "E", "ctrl+o")
        screen = ui.app.screen
        assert isinstance(screen, JumpScreen)
        pair = next(name for name in screen._targets if len(name) == 2)
        await ui.press(pair[0])
        assert ui.app.screen is screen
        await ui.press("backspace", *pair)
        assert ui.app.screen is not screen


async def test_a_click_on_letters_goes_there(drive: Drive) -> None:
    async with drive() as ui:
        region = ui.main.files.content_region
        await ui.press("ctrl+o")
        await ui.pilot.click(offset=(region.x, region.y + 2))
        await ui.calm()
        assert ui.focus == "files"
        assert ui.main.files.cursor == 1
        await ui.press("ctrl+o")
        await ui.pilot.click(offset=(region.right - 3, region.bottom - 2))
        await ui.calm()
        assert ui.main.files.cursor == 1
        assert not isinstance(ui.app.screen, JumpScreen)
