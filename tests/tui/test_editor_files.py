"""The editor, and files, names and folders that are not what one thinks."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from layerscope.tui.screens.editor import EditorScreen
from layerscope.tui.screens.question import QuestionScreen
from tests.tui.test_editor import TEXT, editing, here

__all__ = ["here"]


@pytest.mark.parametrize(
    "name", ["a" * 300, "a/" * 3000 + "b", "app.py/x"], ids=["long", "deep", "file"]
)
async def test_a_name_that_cannot_be_is_told(here: Path, name: str) -> None:
    async with editing() as ui:
        await ui.press("x", "f2", "ctrl+u")
        ui.screen.prompt._entry.value = name
        await ui.press("enter")
        await ui.until(lambda: "cannot be" in ui.said)
        assert ui.screen.text == "x" + TEXT
        assert ui.screen.keeper.file is not None
        assert ui.screen.keeper.file.path == here / "Dockerfile"


async def test_a_folder_that_is_gone_ends_nothing(here: Path) -> None:
    async with editing() as ui:
        await ui.press("x")
        shutil.rmtree(here)
        await ui.press("ctrl+s")
        await ui.until(lambda: isinstance(ui.app.screen, QuestionScreen))
        assert "was removed by others" in ui.text
        await ui.press("m")
        await ui.until(lambda: "cannot be written" in ui.said)
        await ui.press("f2")
        ui.screen.prompt._entry.value = "other"
        await ui.press("enter")
        await ui.until(lambda: "cannot be written" in ui.said)
        assert ui.screen.text == "x" + TEXT
        await ui.press("escape", "d")
        await ui.until(lambda: not isinstance(ui.app.screen, EditorScreen | QuestionScreen))
        await ui.press("e")
        await ui.until(lambda: isinstance(ui.app.screen, EditorScreen))


async def test_characters_that_cannot_be_shown_are_not_taken_for_others(here: Path) -> None:
    private = "FROM a\nRUN echo \U000f0041 \ue041 \U00100041\n"
    async with editing(private) as ui:
        assert not ui.screen.keeper.dirty
        await ui.press("down", "x")
        assert not ui.screen.keeper.dirty
        assert "private use" in ui.said
        (here / "Dockerfile").write_text("FROM b\n")
        ui.screen.keeper.look()
        await ui.until(lambda: "FROM b" in ui.text)
        await ui.press("x")
        assert ui.screen.keeper.dirty
        await ui.press("ctrl+s")
        await ui.saved()
        (here / "Dockerfile").write_text(private)
        ui.screen.keeper.look()
        await ui.until(lambda: "RUN echo" in ui.text)
        await ui.press("x")
        assert not ui.screen.keeper.dirty
    assert (here / "Dockerfile").read_text() == private


async def test_a_folder_in_the_place_of_the_file_is_told_once(here: Path) -> None:
    async with editing() as ui:
        (here / "Dockerfile").unlink()
        (here / "Dockerfile").mkdir()
        ui.screen.keeper.look()
        await ui.until(lambda: "is not a file" in ui.said)
        await ui.press("down")
        assert "is not a file" not in ui.said
        for _ in range(10):
            ui.screen.keeper.look()
            await ui.calm()
            await asyncio.sleep(0.02)
        assert "is not a file" not in ui.said
        await ui.press("x", "ctrl+s")
        await ui.until(lambda: isinstance(ui.app.screen, QuestionScreen))
        await ui.press("m")
        await ui.until(lambda: "cannot be written" in ui.said)
    assert not list((here / "Dockerfile").iterdir())
