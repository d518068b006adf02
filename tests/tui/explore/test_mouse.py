"""The mouse: it can do what keys can."""

from __future__ import annotations

import pytest

from tests.tui.conftest import Drive, Driven


async def click(ui: Driven, pane: str, x: int, y: int, times: int = 1) -> None:
    await ui.pilot.click(f"#{pane}", offset=(x, y), times=times)
    await ui.calm()


async def wheel(ui: Driven, pane: str, down: bool) -> None:
    from textual import events

    kind = events.MouseScrollDown if down else events.MouseScrollUp
    widget = ui.app.screen.query_one(f"#{pane}")
    region = widget.region
    widget.post_message(
        kind(widget, 5, 3, 0, 0, 0, False, False, False, region.x + 5, region.y + 3)
    )
    await ui.calm()


async def test_a_click_gives_a_pane_the_focus_and_its_row_the_cursor(drive: Drive) -> None:
    async with drive() as ui:
        await click(ui, "files", 8, 4)
        assert ui.focus == "files"
        assert ui.main.files.cursor == 2
        await click(ui, "layers", 8, 3)
        assert ui.focus == "layers"
        assert ui.main.layer_list.cursor == 1
        assert "layer 3" in ui.text
        await click(ui, "details", 8, 3)
        assert ui.focus == "details"


async def test_a_double_click_opens(drive: Drive) -> None:
    async with drive(None) as ui:
        await click(ui, "images", 8, 3, times=2)
        await ui.until(ui.over)
        assert ui.main.session is not None
        assert ui.main.session.source == "debian:bookworm-slim"
        await click(ui, "layers", 8, 3, times=2)
        assert ui.focus == "files"


async def test_a_double_click_expands_and_collapses(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("3", "C")
        before = ui.files()
        await click(ui, "files", 45, 2, times=2)
        assert len(ui.files()) > len(before)
        await ui.pilot.pause(0.6)
        await click(ui, "files", 45, 2, times=2)
        assert ui.files() == before


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_click_on_a_heading_of_the_images_sorts(
    drive: Drive, size: tuple[int, int]
) -> None:
    async with drive(None, size=size) as ui:
        for name, first in (
            ("REPOSITORY", "2a2a2a2a2a2a"),
            ("SIZE", "registry"),
            ("CREATED", "hello"),
        ):
            header = ui.pane("images")[0]
            x = header.index(name) + 2
            await click(ui, "images", x + 1, 1)
            assert ui.pane("images")[1].strip().startswith(first)
            down = name != "REPOSITORY"
            assert f"{name} {'▾' if down else '▴'}" in ui.pane("images")[0]
            await click(ui, "images", x + 1, 1)
            assert f"{name} {'▴' if down else '▾'}" in ui.pane("images")[0]


async def test_a_click_on_a_heading_of_the_files_sorts(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("t", "3", "C")
        x = ui.pane("files")[0].index("Size")
        await click(ui, "files", x + 2, 1)
        assert "Size ▾" in ui.pane("files")[0]
        assert ui.current() == "usr"
        await click(ui, "files", x + 2, 1)
        assert "Size ▴" in ui.pane("files")[0]
        await click(ui, "files", ui.pane("files")[0].index("Name") + 1, 1)
        assert "Name ▴" in ui.pane("files")[0]
        assert ui.files()[0].split()[-1] == "bin"


async def test_headings_are_where_they_are_shown(drive: Drive) -> None:
    async with drive(size=(200, 60)) as ui:
        names = {"size": "Size", "modified": "Modified (UTC)", "name": "Name"}
        header = ui.pane("files")[0]
        for start, end, key in ui.main.files.headings(ui.main.files.size.width):
            if key in names:
                assert names[key] in header[start:end], key


async def test_the_wheel_scrolls(drive: Drive) -> None:
    async with drive(size=(100, 20)) as ui:
        await ui.press("G", "3", "E")
        await wheel(ui, "files", True)
        assert ui.main.files.top == 3
        await wheel(ui, "files", False)
        assert ui.main.files.top == 0
        await wheel(ui, "details", True)
        assert ui.main.details.top == 3
        assert ui.focus == "files"


async def test_keys_in_the_bar_can_be_clicked(drive: Drive) -> None:
    async with drive() as ui:
        for _ in range(2):
            united = "merged view of" in ui.text
            label = "t This layer" if united else "t Merged view"
            await click(ui, "keys", ui.lines[-1].index(label), 0)
            assert ("merged view of" in ui.text) is not united
        await click(ui, "keys", ui.lines[-1].index("/ Filter"), 0)
        assert ui.focus == "filter"
