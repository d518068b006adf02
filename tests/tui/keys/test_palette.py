"""The palette: whatever has a key is in it, with the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.style import Style
from textual.binding import Binding
from textual.color import Color

from layerscope.config import load
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.explore.screen import MainScreen
from layerscope.tui.keys.help import HelpScreen
from layerscope.tui.keys.palette import Entry, PaletteScreen, matches, theme_names
from layerscope.tui.rows.file_tree import FileTree
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.theme import contrast
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven


def entries(ui: Driven) -> dict[str, str]:
    screen = ui.app.screen
    assert isinstance(screen, PaletteScreen)
    return {entry.text: entry.key for entry in screen._rows._entries}


def shown(ui: Driven) -> list[str]:
    return [line.strip() for line in ui.pane("palette-rows")]


async def test_everything_with_a_key_is_in_it_with_the_key(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("3", "ctrl+p")
        offered = entries(ui)
        for owner in (LayerscopeApp, MainScreen, FileTree, RowView):
            for binding in Binding.make_bindings(owner.BINDINGS):
                if binding.id == "app.palette":
                    continue
                assert (binding.tooltip or binding.description) in offered, binding.id
        assert offered["Show one layer, or the merged view up to it"] == "t"
        assert "Theme…" in offered
        assert "Reload images" in offered


async def test_remapped_keys_are_shown(drive: Drive) -> None:
    async with drive(keymap={"main.zoom": "f9"}) as ui:
        await ui.press("ctrl+p")
        assert entries(ui)["Give a pane the whole screen"] == "f9"


async def test_typing_picks_and_enter_does_it(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("ctrl+p", *"helpal", "backspace", "backspace", "enter")
        await ui.until(lambda: isinstance(ui.app.screen, HelpScreen) or "merged view of" in ui.text)
    async with drive() as ui:
        await ui.press("ctrl+p", *"merge")
        assert shown(ui)[0].startswith("Show one layer, or the merged")
        await ui.press("enter")
        await ui.until(lambda: "merged view of" in ui.text)
        assert ui.focus == "layers"


async def test_what_begins_so_comes_first(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("ctrl+p", *"th")
        assert shown(ui)[0].startswith("Theme…")
        await ui.press("backspace", "backspace")
        assert shown(ui)[0].startswith("Go to the files of the layer")


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("delete", "Remove the marked images"),
        ("prune", "Prune images, containers"),
        ("rmi", "Remove the marked images"),
        ("hub", "Search registries…"),
        ("tags", "Search registries…"),
        ("login", "Log in to a registry, or log out"),
        ("outdated", "Check for newer images"),
        ("dark", "Theme…"),
        ("history", "Go to the layers"),
        ("waste", "Show what could be saved, why, and how"),
        ("open", "Open the image"),
        ("image remove", "Remove the marked images"),
    ],
)
async def test_words_of_other_tools_are_known(drive: Drive, typed: str, first: str) -> None:
    async with drive() as ui:
        await ui.press("1", "ctrl+p", *typed)
        assert shown(ui)[0].startswith(first)


async def test_what_cannot_be_done_comes_last_with_its_reason(drive: Drive) -> None:
    async with drive(None) as ui:
        for typed in ("", "image"):
            await ui.press("ctrl+p", *typed)
            screen = ui.app.screen
            assert isinstance(screen, PaletteScreen)
            entries = [screen._rows._entries[index] for index, _ in screen._rows._shown]
            problems = [bool(entry.problem) for entry in entries]
            assert problems == sorted(problems)
            assert set(problems) == {False, True}
            await ui.press("escape")


def test_whole_words_come_before_beginnings_and_these_before_letters() -> None:
    texts = ["Unload it", "Loading", "Down load", "Load", "Lots of a day"]
    found = matches("load", [Entry(text) for text in texts])
    assert [texts[match.row] for match in found] == ["Load", "Down load", "Loading", "Unload it"]
    assert [texts[match.row] for match in matches("lofay", [Entry(text) for text in texts])] == [
        "Lots of a day"
    ]


async def test_it_is_there_without_an_image(drive: Drive) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        await ui.press("ctrl+p", *"open an", "enter")
        await ui.until(lambda: "Open an image" in ui.text)


async def test_what_cannot_be_done_says_why(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("ctrl+p", *"whole screen")
        assert "There is one pane only" in shown(ui)[0]
        await ui.press("enter")
        await ui.until(lambda: "There is one pane only" in ui.message)


async def test_the_keys_of_other_panes_are_found_with_their_pane(drive: Drive) -> None:
    async with drive(keymap={"images.remove": "f9"}) as ui:
        await ui.press("3", "ctrl+p", *"delete")
        assert shown(ui)[0].startswith("Remove the marked images, or this one")
        assert "Only in pane 1 Images." in shown(ui)[0]
        assert "f9" in shown(ui)[0]
        await ui.press("enter")
        await ui.until(lambda: ui.message == "Only in pane 1 Images.")


@pytest.mark.parametrize("key", ["escape", "ctrl+p"])
async def test_it_can_be_left(drive: Drive, key: str) -> None:
    async with drive() as ui:
        await ui.rest()
        before = ui.text
        await ui.press("ctrl+p", "x", key)
        await ui.until(lambda: ui.text == before)


async def test_moving_and_nothing_to_choose(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("ctrl+p", "down", "down", "pagedown", "pageup", "up")
        screen = ui.app.screen
        assert isinstance(screen, PaletteScreen)
        assert screen._rows.cursor == 1
        await ui.press(*"qqqqzzz")
        assert "Nothing matches." in ui.text
        await ui.press("enter")
        assert ui.app.screen is screen


async def test_a_click_does_it(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("ctrl+p", *"all keys")
        await ui.press(*["backspace"] * 8, *"help")
        row = next(y for y, line in enumerate(shown(ui)) if line.startswith("Help"))
        await ui.pilot.click("#palette-rows", offset=(5, row))
        await ui.until(lambda: isinstance(ui.app.screen, HelpScreen))


@pytest.mark.parametrize("answer", ["k", "u", "escape"])
async def test_themes_are_shown_before_they_are_chosen(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "layerscope" / "config.toml"
    async with drive() as ui:
        await ui.press("ctrl+p", *"theme", "enter")
        await ui.until(lambda: "layerscope-light" in ui.text)
        await ui.press("down")
        assert ui.app.theme == "layerscope-light"
        await ui.press("escape")
        assert ui.app.theme == "layerscope-dark"
        assert "2 Layers" in ui.text
        await ui.press("ctrl+p", *"theme", "enter")
        await ui.until(lambda: "layerscope-light" in ui.text)
        await ui.press(*"nord", "enter")
        assert ui.app.theme == "nord"
        await ui.until(lambda: "Keep the theme nord?" in ui.text)
        await ui.press(answer)
        assert ui.app.theme == "nord"
        if answer == "k":
            assert ui.message == f"nord is kept in {file}."
            assert load(environment={}, path=file).values["theme"] == "nord"
        else:
            assert ui.message == "nord is used until you quit."
            assert not file.exists()


async def test_every_theme_can_be_looked_at(drive: Drive) -> None:
    async with drive(size=(100, 30)) as ui:
        for name in theme_names():
            ui.app.theme = name
            await ui.calm()
            await ui.press("j", "k")
            assert "2 Layers" in ui.text
            colors = ui.app.palette
            if colors.flat:
                continue

            def ratio(style: Style, on: Style) -> float:
                pair = [Color.from_rich_color(color) for color in (style.color, on.bgcolor)]
                return contrast(*pair)

            assert ratio(colors.base, colors.base) >= 4.5, name
            assert ratio(colors.cursor, colors.cursor) >= 4.5, name
            assert ratio(colors.muted, colors.base) >= 4, name
            assert ratio(colors.faint, colors.base) >= 2.4, name
            for style in (colors.added, colors.modified, colors.removed, colors.accent):
                assert ratio(style, colors.base) >= 3, name
                assert ratio(style, colors.cursor) >= 3, name
                assert ratio(style, colors.cursor_blur) >= 2.2, name


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
async def test_it_fits(drive: Drive, size: tuple[int, int]) -> None:
    async with drive(size=size) as ui:
        await ui.press("ctrl+p")
        assert all(len(line) <= size[0] for line in ui.lines)
        await ui.press("pagedown", "pagedown", "pagedown", "pagedown")
        await ui.press(*["pagedown"] * 8)
        assert "Prune images" in ui.text  # The last, as it is a key of another pane.
