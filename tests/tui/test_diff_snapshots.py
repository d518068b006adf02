"""Pictures of the screens that show what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
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
            if screen.view.text is None or screen.view._syntax != (None, None):
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
