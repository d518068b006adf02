"""The editor with unusual files, names and folders."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.editor.screen import EditorScreen
from tests.tui.editor.test_editor import TEXT, editing, here

__all__ = ["here"]


@pytest.mark.parametrize(
    "name", ["a" * 300, "a/" * 3000 + "b", "app.py/x"], ids=["long", "deep", "file"]
)
async def test_an_impossible_name_is_reported(here: Path, name: str) -> None:
    async with editing() as ui:
        await ui.press("x", "f2", "ctrl+u")
        ui.screen.prompt._entry.value = name
        await ui.press("enter")
        await ui.says("cannot be")
        assert ui.screen.draft.text == "x" + TEXT
        assert ui.screen.file.known is not None
        assert ui.screen.file.path == here / "Dockerfile"


async def test_saving_into_a_removed_folder_loses_nothing(here: Path) -> None:
    async with editing() as ui:
        await ui.press("x")
        shutil.rmtree(here)
        await ui.press("ctrl+s")
        await ui.on(QuestionScreen)
        assert "was removed" in ui.text
        await ui.press("m")
        await ui.says("cannot be written")
        await ui.press("f2")
        ui.screen.prompt._entry.value = "other"
        await ui.press("enter")
        await ui.says("cannot be written")
        assert ui.screen.draft.text == "x" + TEXT
        await ui.press("escape", "d")
        await ui.until(lambda: not isinstance(ui.app.screen, EditorScreen | QuestionScreen))
        await ui.press("e")
        await ui.on(EditorScreen)


async def test_only_the_version_that_was_asked_about_is_overwritten(here: Path) -> None:
    async with editing() as ui:
        (here / "Dockerfile").write_text("FROM one\n")
        await ui.press("x", "ctrl+s")
        await ui.on(QuestionScreen)
        (here / "Dockerfile").write_text("FROM another\n")
        first = ui.app.screen
        await ui.press("m")
        await ui.until(lambda: ui.app.screen is not first)
        await ui.on(QuestionScreen)
        assert (here / "Dockerfile").read_text() == "FROM another\n"
        await ui.press("m")
        await ui.until(lambda: (here / "Dockerfile").read_text() == "x" + TEXT)


async def test_private_use_characters_are_not_mistaken_for_replacements(here: Path) -> None:
    private = "FROM a\nRUN echo \U000f0041 \ue041 \U00100041\n"
    async with editing(private) as ui:
        assert not ui.screen.file.dirty
        await ui.press("down", "x")
        assert not ui.screen.file.dirty
        await ui.says("private-use")
        (here / "Dockerfile").write_text("FROM b\n")
        ui.screen.file.look()
        await ui.until(lambda: "FROM b" in ui.text)
        await ui.press("x")
        assert ui.screen.file.dirty
        await ui.press("ctrl+s")
        await ui.saved()
        (here / "Dockerfile").write_text(private)
        ui.screen.file.look()
        await ui.until(lambda: "RUN echo" in ui.text)
        await ui.press("x")
        assert not ui.screen.file.dirty
    assert (here / "Dockerfile").read_text() == private


async def test_a_folder_in_place_of_the_file_is_reported_once(here: Path) -> None:
    async with editing() as ui:
        (here / "Dockerfile").unlink()
        (here / "Dockerfile").mkdir()
        ui.screen.file.look()
        await ui.says("is not a file")
        await ui.press("down")
        assert "is not a file" not in ui.said
        for _ in range(10):
            ui.screen.file.look()
            await ui.calm()
            await asyncio.sleep(0.02)
        assert "is not a file" not in ui.said
        await ui.press("x", "ctrl+s")
        await ui.on(QuestionScreen)
        await ui.press("m")
        await ui.says("cannot be written")
    assert not list((here / "Dockerfile").iterdir())
