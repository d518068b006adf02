"""The help page: keys of where the user is first, a filter, and the help topics."""

from __future__ import annotations

import pytest

from layerscope.help import read, topics
from layerscope.tui.keys.help import HelpScreen, topic_groups
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Size, sizes


def test_a_topic_becomes_headings_keys_and_text() -> None:
    groups = dict(topic_groups(read("content")))
    rows = groups["Looking at a file"]
    assert ("0 w L", "toggle hexadecimal, wrapping, line numbers") in rows
    assert all("`" not in text for _, text in rows)
    assert len(dict(topic_groups(read("versions")))) == 4


async def test_topics_follow_the_keys(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("question_mark")
        await ui.until(lambda: "Help" in ui.text)
        await ui.press("right_square_bracket")
        await ui.until(lambda: "Help: build" in ui.text and "classic builder" in ui.text)
        await ui.press("left_square_bracket", "left_square_bracket")
        await ui.until(lambda: f"Help: {topics()[-1].name}" in ui.text)
        # From a topic back to the keys, and from there to the screen below.
        await ui.press("escape")
        await ui.until(lambda: "Help: " not in ui.text and "Topics" in ui.text)
        await ui.press("escape")
        assert ui.app.screen is ui.main


def headings(ui: Driven) -> list[str]:
    marks = ("▾ ", "▸ ")
    rows = [line.strip() for line in ui.pane("help-rows")]
    return [line[2:].split("  ")[0] for line in rows if line.startswith(marks)]


@sizes()
async def test_the_pane_comes_first_and_other_screens_are_folded(drive: Drive, size: Size) -> None:
    async with drive(size=size) as ui:
        for pane, heading in (("2", "2 Layers"), ("3", "In file trees")):
            await ui.press(pane, "question_mark")
            first = ui.pane("help-rows")[0].rstrip(" ▐")
            assert first == f" ▾ {heading}"
            await ui.press("G")
            last = ui.pane("help-rows")[-1]
            assert last.startswith(" ▸ ")
            await ui.press("enter")
            assert f"▾ {last.split()[1]}" in ui.text
            await ui.press("q")
            assert ui.app.screen is ui.main


@pytest.mark.parametrize(("width", "columns"), [(80, 1), (120, 2), (200, 2)])
async def test_two_columns_where_there_is_room(drive: Drive, width: int, columns: int) -> None:
    async with drive(size=(width, 40)) as ui:
        await ui.press("3", "question_mark")
        row = next(line for line in ui.pane("help-rows") if "Expand a folder" in line)
        assert ("expand a folder" in row) == (columns == 2)


async def test_the_filter_finds_keys_of_all_screens_and_topics(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("question_mark", "slash", *"one log")
        await ui.until(lambda: headings(ui) == ["A build"])
        await ui.press("enter", "escape")
        await ui.until(lambda: len(headings(ui)) > 2)
        await ui.press("slash", *"hadolint", "enter")
        await ui.until(lambda: headings(ui) == ["Topics"])
        await ui.press("j", "enter")
        await ui.until(lambda: "Help: editor" in ui.text)
        await ui.press("escape")
        await ui.until(lambda: isinstance(ui.app.screen, HelpScreen))
        await ui.press("slash", *"qqqq")
        await ui.until(lambda: "Nothing matches." in ui.text)
        await ui.press("escape", "escape")
        assert ui.app.screen is ui.main


async def test_it_names_the_keys_of_the_settings(drive: Drive) -> None:
    async with drive(keymap={"main.zoom": "f9"}) as ui:
        await ui.press("question_mark", "slash", *"whole screen", "enter")
        await ui.until(lambda: len(headings(ui)) < 8)
        assert any("f9" in line for line in ui.pane("help-rows"))
        assert isinstance(ui.app.screen, HelpScreen)
