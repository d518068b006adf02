"""What there is to see before an image is open, and in windows of any size."""

from __future__ import annotations

import pytest

from tests.tui import fakes
from tests.tui.conftest import Drive
from tests.tui.pictures import Size, sizes


@pytest.mark.parametrize("engine", [fakes.NO_ENGINE, fakes.FakeEngine([])])
@pytest.mark.parametrize("size", [(80, 24), (60, 15), (200, 60)])
async def test_without_images_it_says_what_can_be_done(
    drive: Drive, engine: fakes.FakeEngine | Exception, size: tuple[int, int]
) -> None:
    async with drive(None, engine=engine, size=size) as ui:
        text = " ".join(ui.text.replace("│", " ").split())
        for part in ("./image.tar", "docker://debian:12", "oci:FOLDER", "docker-root:FOLDER"):
            assert part in text
        assert "Press o to open something else" in text
        assert "? shows all keys, q quits." in text
        await ui.press("o")
        assert "Open an image" in ui.text
        assert "container:NAME" in ui.text


async def test_the_keys_that_are_told_are_those_of_the_settings(drive: Drive) -> None:
    keys = {"main.open": "O", "app.quit": "f10", "images.open": "space"}
    async with drive(None, engine=fakes.NO_ENGINE, keymap=keys) as ui:
        assert "Press O to open" in ui.text
        assert "f10 quits" in ui.text
        await ui.press("t")
        assert "O opens one." in ui.message
    async with drive(None, keymap=keys) as ui:
        await ui.press("t")
        assert "space opens the one under the cursor." in ui.message


@pytest.mark.parametrize("size", [(60, 15), (70, 19), (100, 15)])
async def test_low_windows_leave_room_for_files(drive: Drive, size: tuple[int, int]) -> None:
    async with drive(size=size) as ui:
        assert len(ui.pane("layers")) == 4
        assert len(ui.pane("files")) >= 5
        await ui.press("4")
        assert ui.pane("details")[0].startswith(" Layer")


@pytest.mark.parametrize("size", [(60, 12), (40, 10), (20, 6)])
async def test_the_lowest_windows_show_one_pane(drive: Drive, size: tuple[int, int]) -> None:
    async with drive(size=size) as ui:
        for key, name in zip("234", ("layers", "files", "details"), strict=True):
            await ui.press(key)
            shown = [
                pane
                for pane in ("images", "layers", "files", "details")
                if ui.app.screen.query_one(f"#{pane}").region
            ]
            assert shown == [name]
        await ui.press("tab", "shift+tab", "z", "z", "escape", "escape")
        assert ui.focus == "layers"


async def test_layers_give_up_columns_before_instructions(drive: Drive) -> None:
    for width, parts, missing in (
        (120, "# Size Wasted A M R Instruction", ""),
        (80, "# Size Wasted Instruction", "A     M"),
        (60, "# Size Wasted Instruction", "━"),
        (44, "# Size Instruction", "Wasted"),
    ):
        async with drive(size=(width, 24)) as ui:
            lines = ui.pane("layers")
            assert parts in " ".join(lines[0].split())
            assert not missing or missing not in "".join(lines)
            assert any("RUN echo 'Hi" in line for line in lines)


@sizes()
@pytest.mark.parametrize("source", ["hello:latest", None])
async def test_the_first_start_shows_what_can_be_done(
    drive: Drive, source: str | None, size: Size
) -> None:
    async with drive(source, size=size, first=True, keymap={"app.help": "f9"}) as ui:
        await ui.until(lambda: ui.message)
        lines = ui.lines[-4:-1]
        assert "goes to the next pane" in lines[0] or lines[0].startswith(
            " enter opens the image under the cursor, o any"
        )
        assert "w shows what wastes space" in lines[1]
        assert "f9 lists all keys" in lines[2]
        assert "This is shown once." in lines[2]
        # It stays while the cursor moves, and goes when something is opened or left.
        await ui.press("j", "k")
        assert ui.message
        await ui.press("enter")
        assert "w shows" not in ui.message
