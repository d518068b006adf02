"""`esc` returns to where the user came from, with its row, query and scroll; it never goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from layerscope.images.reader import ImageReader
from layerscope.tui.editor.screen import EditorScreen
from layerscope.tui.find.screen import FindScreen
from layerscope.tui.packages.screen import PackagesScreen
from layerscope.tui.waste.screen import WasteScreen
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.find.test_find import FindingEngine, ended


async def at(ui: Driven, kind: type[Screen[Any]]) -> None:
    await ui.until(lambda: isinstance(ui.app.screen, kind))
    await ui.rest()


def view(ui: Driven) -> tuple[object, ...]:
    """Everything about the main screen that a user sees."""
    main = ui.main
    # What is wasted may have become known meanwhile, below what is in sight.
    lines = [line.replace("▐", " ") for line in ui.lines[:-1]]
    return main.session, main.pane.id, main.explorer.filter_text, lines


async def test_results_are_as_they_were_after_a_look_at_a_file(drive: Drive, known: None) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f", *"lib")
        await ended(ui)
        await ui.press("enter", "j", "j", "j")
        await ui.rest()
        before, find = ui.lines, ui.app.screen
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        await ui.rest()
        assert ui.focus == "files"
        session = ui.main.session
        await ui.press("escape")
        await at(ui, FindScreen)
        assert ui.app.screen is find
        assert ui.lines == before
        # Nothing leads to the image any more.
        assert session is not None
        assert session.contents is None
        await ui.press("escape")
        assert ui.focus == "images"
        assert not ui.main.exploring


async def test_another_image_is_left_for_the_one_before(drive: Drive, known: None) -> None:
    async with drive(engine=FindingEngine()) as ui:
        await ui.walk("t", "3", "E", "slash", *"lib", "enter", "j", "j", "s", "z")
        before = view(ui)
        await ui.press("f", *"passwd")
        await ended(ui)
        await ui.press("enter", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        await ui.until(lambda: ui.current() == "etc/passwd")
        assert ui.main.session is not before[0]
        await ui.walk("t", "tab", "2", "j")
        # First back through the panes, then to the results.
        await ui.walk("escape", "escape", "escape")
        await at(ui, FindScreen)
        await ui.walk("escape")
        assert view(ui) == before


@pytest.mark.parametrize(
    ("key", "kind", "moves"),
    [("w", WasteScreen, "G"), ("P", PackagesScreen, "tG")],
)
async def test_files_lead_back_to_what_led_to_them(
    drive: Drive, key: str, kind: type[Screen[Any]], moves: str
) -> None:
    async with drive() as ui:
        await ui.walk("k", "3", "j", "j", "2", key)
        await at(ui, kind)
        await ui.walk(*moves)
        await ui.rest()
        before, screen = ui.lines, ui.app.screen
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main)
        await ui.rest()
        assert ui.focus == "files"
        await ui.walk("escape")
        assert ui.app.screen is screen
        assert ui.lines[:-1] == before[:-1]
        await ui.walk("escape")
        assert ui.app.screen is ui.main
        assert ui.focus == "layers"
        await ui.walk("escape", "escape")
        assert "There is nothing to go back to" in ui.message
        assert not screen.is_running


async def test_panes_are_left_for_the_one_that_led_there(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("enter")
        await ui.until(ui.over)
        await ui.press("enter")
        await ui.press("4", "1")
        # It is a circle: the images led to all of them.
        assert ui.focus == "images"
        await ui.press("escape")
        assert "There is nothing to go back to." in ui.message
        await ui.press("2", "enter", "4")
        for pane in ("files", "layers", "images"):
            await ui.press("escape")
            assert ui.focus == pane
        await ui.press("escape")
        assert "There is nothing to go back to." in ui.message
        # A circle is not gone around again.
        await ui.press("2", *["tab"] * 9, "escape")
        assert ui.focus in ("layers", "images")


async def test_an_image_opened_by_name_leads_back_to_the_one_before(drive: Drive) -> None:
    async with drive() as ui:
        await ui.walk("3", "j")
        before = view(ui)
        await ui.press("o", *"./a.tar", "enter")
        await ui.until(lambda: ui.main.session is not before[0] and ui.over())
        await ui.walk("escape")
        assert view(ui) == before


async def test_an_image_that_cannot_be_opened_leads_back_at_once(drive: Drive) -> None:
    async with drive() as ui:

        def opener(*_: object, **__: object) -> ImageReader:
            raise fakes.NO_ENGINE

        ui.main._opener = opener
        await ui.walk("3", "j")
        before = view(ui)
        await ui.press("o", *"./a.tar", "enter")
        await ui.until(lambda: "Cannot open ./a.tar" in ui.text)
        await ui.walk("escape")
        assert view(ui) == before


async def test_few_places_and_images_are_kept(drive: Drive) -> None:
    async with drive() as ui:
        first = ui.main.session
        sessions = []
        for number in range(6):
            await ui.press("o", *f"./{number}.tar", "enter")
            await ui.rest()
            await ui.until(ui.over)
            sessions.append(ui.main.session)
        assert first is not None
        assert first.contents is None
        assert len([each for each in sessions if each is not None and each.contents]) == 4
        for _ in range(30):
            ui.main.go_to(ui_goal(ui))
            await ui.calm()
        assert len(ui.main.trail.stops) <= 20


def ui_goal(ui: Driven) -> Any:
    from layerscope.tui.destinations import Goal

    return Goal(layer=0, path=b"etc/passwd")


async def test_a_place_fits_a_window_that_has_changed(drive: Drive) -> None:
    async with drive(size=(120, 40)) as ui:
        await ui.walk("w", "G", "enter")
        assert ui.app.screen is ui.main
        await ui.pilot.resize_terminal(80, 20)
        await ui.rest()
        await ui.walk("escape")
        assert ui.app.screen.size == (80, 20)
        assert ui.app.screen.has_class("-low")
        assert max(map(len, ui.lines)) <= 80


@pytest.fixture
def dockerfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "Dockerfile"
    path.write_text("FROM scratch\nCOPY a /a\n")
    return path


async def test_an_editor_that_was_left_keeps_its_text_and_holds_the_program(
    drive: Drive, dockerfile: Path
) -> None:
    async with drive() as ui:
        await ui.walk("e", *"# new")
        editor = ui.at(EditorScreen)
        assert editor.has_unsaved
        editor._from.go(ui_goal(ui))
        await ui.rest()
        assert ui.app.screen is ui.main
        await ui.press("q")
        assert "There are changes that are not saved" in ui.message
        # There is one editor for a file.
        await ui.walk("e")
        assert ui.at(EditorScreen) is editor
        assert "# new" in ui.text
        await ui.walk("escape", "d")
        assert ui.app.screen is ui.main


async def test_an_editor_that_is_set_aside_keeps_a_draft_when_the_program_ends(
    drive: Drive, dockerfile: Path, drafts: Callable[[], list[Path]]
) -> None:
    async with drive() as ui:
        await ui.walk("e", *"# new")
        ui.at(EditorScreen)._from.go(ui_goal(ui))
        await ui.rest()
    assert drafts()


@pytest.fixture
def drafts(tmp_path: Path) -> Callable[[], list[Path]]:
    return lambda: [each for each in (tmp_path / "state").rglob("*") if each.is_file()]


async def test_screens_of_places_that_are_forgotten_end(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.tui.explore.open_images._MOST_PLACES", 2)
    async with drive() as ui:
        screens = []
        for _ in range(4):
            await ui.walk("w", "G")
            screens.append(ui.at(WasteScreen))
            await ui.walk("enter")
        assert [screen.is_running for screen in screens] == [False, False, True, True]
        await ui.walk(*["escape"] * 5)
        assert ui.app.screen is ui.main
        assert not any(screen.is_running for screen in screens)
        assert "There is nothing to go back to" in ui.message
