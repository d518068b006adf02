"""Pictures of the screens that show what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.compare import CompareScreen
from layerscope.tui.screens.diff import DiffScreen
from layerscope.tui.screens.versions import VersionsScreen
from tests.tui import fakes, real_images

Compare = Callable[..., bool]


def app(tmp_path: Path, theme: str = "layerscope-dark") -> LayerscopeApp:
    return LayerscopeApp(
        "app.tar",
        fakes.opener(real_images.opened(tmp_path)),  # type: ignore[arg-type]
        fakes.connector(),
        clock=lambda: fakes.NOW,
        theme=theme,
        cache=False,
    )


def versions_of(path: str, *keys: str) -> Callable[[Pilot[Any]], Any]:
    """Goes to the versions of a path, presses keys, and waits until all is there."""

    async def before(pilot: Pilot[Any]) -> None:
        application = pilot.app
        assert isinstance(application, LayerscopeApp)
        main = application._main
        while main.session is None or not main.session.ended:
            await asyncio.sleep(0.01)
        await pilot.pause(0.1)
        for key in ("t", "3", "E"):
            await pilot.press(key)
        rows = main.files.rows
        assert rows is not None
        node = rows.tree.find(path.encode())
        assert node is not None
        main.files.move_to(rows.row_of(node) or 0)
        await pilot.press("d")
        for key in keys:
            await pilot.press(key)
        screen = application.screen
        assert isinstance(screen, VersionsScreen)
        while screen.job is None or not screen.job.ended:
            await asyncio.sleep(0.01)
        await pilot.pause(0.1)
        for _ in range(600):
            if screen.view.text is None or screen.view.lines.syntax != (None, None):
                break
            if path != "app/main.py":
                break
            await asyncio.sleep(0.01)
        await pilot.pause(0.3)

    return before


SIZES = [(80, 24), (120, 40), (200, 60)]
CASES = {
    "program": ("app/main.py", ("j",)),
    "owner": ("etc/moved", ()),
    "removed": ("etc/app.conf", ("j", "enter")),
    "binary": ("app/data.bin", ()),
    "hostile": ("etc/hostile", ("enter",)),
    "once": ("etc/once", ()),
}


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40", "200x60"])
@pytest.mark.parametrize("case", CASES)
def test_versions(snap_compare: Compare, tmp_path: Path, case: str, size: tuple[int, int]) -> None:
    path, keys = CASES[case]
    assert snap_compare(app(tmp_path), terminal_size=size, run_before=versions_of(path, *keys))


@pytest.mark.parametrize("theme", ["layerscope-light", "layerscope-terminal", "layerscope-plain"])
@pytest.mark.parametrize("size", [(80, 24), (160, 40)], ids=["80x24", "160x40"])
def test_themes(snap_compare: Compare, tmp_path: Path, theme: str, size: tuple[int, int]) -> None:
    before = versions_of("app/main.py", "j", "enter")
    assert snap_compare(app(tmp_path, theme), terminal_size=size, run_before=before)


def compared(*keys: str) -> Callable[[Pilot[Any]], Any]:
    """Compares with another image, presses keys, and waits until all is there."""

    async def before(pilot: Pilot[Any]) -> None:
        application = pilot.app
        assert isinstance(application, LayerscopeApp)
        main = application._main
        while main.session is None or not main.session.ended:
            await asyncio.sleep(0.01)
        for key in ("c", *"other.tar", "enter"):
            await pilot.press(key)
        screen = application.screen
        assert isinstance(screen, CompareScreen)
        while screen.job is None or not screen.job.ended:
            await asyncio.sleep(0.01)
        await pilot.pause(0.3)
        for key in keys:
            await pilot.press(key)
        await pilot.pause(0.5)
        while isinstance(application.screen, DiffScreen) and not (
            application.screen.job and application.screen.job.ended
        ):
            await asyncio.sleep(0.01)
        await pilot.pause(0.5)

    return before


def two(tmp_path: Path, theme: str = "layerscope-dark") -> LayerscopeApp:
    def opener(source: str, progress: Progress, platform: str | None = None) -> ImageReader:
        if source == "app.tar":
            return real_images.opened(tmp_path / "one")
        return real_images.opened(tmp_path / "two", real_images.OTHER, "example.test/app:2")

    return LayerscopeApp(
        "app.tar",
        opener,
        fakes.connector(fakes.FakeEngine([])),
        clock=lambda: fakes.NOW,
        theme=theme,
        cache=False,
    )


COMPARED = {"files": ("E", "j"), "path": ("E", *"jj", "enter"), "zoom": ("2", "z")}


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40", "200x60"])
@pytest.mark.parametrize("case", COMPARED)
def test_two_images(
    snap_compare: Compare, tmp_path: Path, case: str, size: tuple[int, int]
) -> None:
    before = compared(*COMPARED[case])
    assert snap_compare(two(tmp_path), terminal_size=size, run_before=before)


@pytest.mark.parametrize("theme", ["layerscope-light", "layerscope-terminal", "layerscope-plain"])
def test_two_images_in_themes(snap_compare: Compare, tmp_path: Path, theme: str) -> None:
    before = compared("E", "j")
    assert snap_compare(two(tmp_path, theme), terminal_size=(120, 40), run_before=before)
