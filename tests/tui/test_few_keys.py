"""What users come for takes them few keys, counted from the start of the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.tui.editor.screen import EditorScreen
from layerscope.tui.find.screen import FindScreen
from layerscope.tui.versions.screen import VersionsScreen
from layerscope.tui.waste.screen import WasteScreen
from tests.archives import folder, text, whiteout
from tests.tui import real_images
from tests.tui.conftest import Drive
from tests.tui.find.test_find import FindingEngine, ended

LAYERS = [
    [folder("etc"), text("etc/motd", "Welcome to Debian\n"), text("etc/passwd", "root")],
    [text("etc/motd", "Welcome to the shop\n"), text("srv/big", "b" * 90_000)],
    [text("srv/small", "s"), whiteout("srv/big")],
]


async def test_who_wrote_a_file_and_what_it_was_before(drive: Drive, tmp_path: Path) -> None:
    keys = ["t", "slash", *"motd", "enter", "d"]
    assert len(keys) <= 8
    async with drive(reader=real_images.opened(tmp_path, LAYERS)) as ui:
        await ui.press(*keys)
        await ui.until(lambda: isinstance(ui.app.screen, VersionsScreen))
        await ui.until(lambda: "Welcome to Debian" in ui.text and "Welcome to the shop" in ui.text)
        assert "/etc/motd" in ui.lines[0]
        newest, before = ui.pane("versions")[1:3]
        assert "RUN layer 1" in newest
        assert "RUN layer 0" in before


async def test_every_image_with_a_file_and_back(drive: Drive, known: None) -> None:
    keys = ["f", *"libpyt"]
    back = ["escape"]
    assert len(keys + back) <= 8
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.walk("j")
        before = ui.main.images.spot
        await ui.press(*keys)
        await ended(ui)
        assert "1 match in 1 of 2 images" in ui.text
        assert "/usr/lib/libpython3.so" in ui.text
        # To the file, and back to what was found.
        found = ui.at(FindScreen)
        await ui.press("enter", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        await ui.until(lambda: ui.current() == "usr/lib/libpython3.so")
        await ui.walk("escape")
        assert ui.at(FindScreen) is found
        await ui.walk(*back)
        assert (ui.focus, ui.main.images.spot) == ("images", before)


async def test_from_what_is_wasted_to_the_line_that_wrote_it_and_back(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    dockerfile = "FROM debian\nRUN layer 1\nRUN layer 2\n"
    (tmp_path / "Dockerfile").write_text(dockerfile)
    async with drive(reader=real_images.opened(tmp_path / "image", LAYERS)) as ui:
        await ui.press("w")
        await ui.until(lambda: isinstance(ui.app.screen, WasteScreen))
        await ui.rest()
        waste = ui.at(WasteScreen)
        assert "/srv/big" in waste.list.row_text
        await ui.press("e")
        await ui.until(lambda: isinstance(ui.app.screen, EditorScreen))
        editor = ui.at(EditorScreen)
        await ui.until(lambda: editor.area.selection.end[0] == 1)
        # From there to the layer, and back all the way.
        await ui.press("ctrl+l")
        await ui.until(lambda: ui.app.screen is ui.main)
        assert ui.main.place.layer == 1
        await ui.walk("escape")
        assert ui.at(EditorScreen) is editor
        await ui.walk("escape")
        assert ui.at(WasteScreen) is waste
        # What the base image brought is up to FROM.
        await ui.walk("escape", "G", "e")
        await ui.until(lambda: isinstance(ui.app.screen, EditorScreen))
        await ui.rest()
        assert ui.at(EditorScreen).area.selection.end[0] == 0


async def test_a_dockerfile_of_another_image_says_so_and_leads_to_the_history(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "Dockerfile").write_text("FROM alpine\nRUN something else\n")
    async with drive(reader=real_images.opened(tmp_path / "image", LAYERS)) as ui:
        await ui.walk("e")
        await ui.until(lambda: "No instruction here is known to have made layer 2." in ui.message)
        await ui.walk("f4")
        await ui.until(lambda: "RUN layer 2" in ui.text)
        editor = ui.at(EditorScreen)
        await ui.until(
            lambda: "layer 2" in editor.area.document.get_line(editor.area.selection.end[0])
        )
