"""A key that means nothing here says why, and is not in the key bar."""

from __future__ import annotations

import pytest
from textual import events

from tests.tui import fakes
from tests.tui.conftest import Drive


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("t", "No image is open: enter opens the one under the cursor."),
        ("a", "No image is open"),
        ("r", "No image is open"),
        ("m", "No image is open"),
        ("u", "No image is open"),
        ("n", "No image is open"),
        ("N", "No image is open"),
        ("p", "No image is open"),
        ("2", "No image is open"),
        ("3", "No image is open"),
        ("4", "No image is open"),
        ("z", "There is one pane only until an image is open"),
        ("tab", "There is one pane only"),
        ("shift+tab", "There is one pane only"),
        ("ctrl+k", "Nothing is being read."),
        ("escape", "There is nothing to go back to."),
    ],
)
async def test_keys_about_an_image_say_that_none_is_open(drive: Drive, key: str, said: str) -> None:
    async with drive(None) as ui:
        await ui.rest()
        before = ui.lines
        await ui.press(key)
        assert said in ui.message
        # It covers the line above the keys, and nothing else.
        assert ui.lines[-2].startswith(f" {said}")
        assert [*ui.lines[:-2], ui.lines[-1]] == [*before[:-2], before[-1]]
        await ui.press("j")
        assert ui.lines == before


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("enter", "There is no image here to open."),
        ("slash", "There are no images to filter."),
        ("s", "There are no images to sort."),
        ("S", "There are no images to sort."),
        ("t", "No image is open: o opens one."),
    ],
)
async def test_without_images_there_is_nothing_to_do_with_them(
    drive: Drive, key: str, said: str
) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        await ui.press(key)
        assert said in ui.message


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["n"], "No filter is set, so nothing matches."),
        (["3", "N"], "No filter is set"),
        (["ctrl+k"], "Nothing is being read."),
        (["p"], "This image is there for one platform only."),
        (["1", "t"], "The merged view is one of layers: go to the layers or files first."),
        (["1", "z"], "This list has the screen to itself already."),
        (["1", "a"], "Kinds of changes are those of files"),
        (["1", "n"], "Matches are those of files"),
    ],
)
async def test_with_an_image_open(drive: Drive, keys: list[str], said: str) -> None:
    async with drive() as ui:
        await ui.press(*keys)
        assert said in ui.message


async def test_what_is_said_goes_with_a_click_and_can_be_said_again(drive: Drive) -> None:
    async with drive() as ui:
        for _ in range(2):
            await ui.press("n")
            assert "No filter is set" in ui.message
        await ui.pilot.click("#layers", offset=(5, 3))
        await ui.calm()
        assert "No filter is set" not in ui.message


async def test_a_long_sentence_takes_three_lines_at_most(drive: Drive) -> None:
    async with drive(size=(40, 12)) as ui:
        await ui.rest()
        before = ui.lines
        ui.main.say("many words " * 9)
        await ui.calm()
        assert "".join(ui.lines[-4:-1]).split() == ["many", "words"] * 9
        ui.main.say("x" * 200)
        await ui.calm()
        assert ui.lines[-4].startswith(" xxx")
        assert ui.lines[-2].rstrip().endswith("…")
        assert [len(line) for line in ui.lines] == [40] * 12
        ui.main.say("")
        await ui.calm()
        assert ui.lines == before


async def test_the_keys_stay_while_the_terminal_has_no_focus(drive: Drive) -> None:
    async with drive() as ui:
        for keys in (["3"], ["w"], ["escape", "f"], ["escape", "question_mark"]):
            await ui.press(*keys)
            await ui.rest()
            before, focus = ui.lines, ui.focus
            assert focus
            ui.app.post_message(events.AppBlur())
            await ui.calm()
            assert (ui.lines, ui.focus) == (before, focus)
            ui.app.post_message(events.AppFocus())
            await ui.calm()
            assert (ui.lines, ui.focus) == (before, focus)
