"""Packages of a layer at a glance, and on a screen of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.main import MainScreen
from layerscope.tui.screens.packages import PackagesScreen
from tests.archives import Item, text
from tests.tui import fakes, real_images
from tests.tui.conftest import Drive, Driven

BASE = "\n".join(
    f"Package: {name}\nStatus: install ok installed\nInstalled-Size: {size}\nVersion: {version}\n"
    for name, version, size in (("bash", "5.2", 7000), ("old", "1", 5), ("e\x1b[31mvil", "0", 1))
)
NEXT = BASE.replace("5.2", "5.3").replace("old", "python3").replace("Version: 1\n", "Version: 3\n")
LAYERS: list[list[Item]] = [
    [text("var/lib/dpkg/status", BASE), text("bin/su", "s", mode=0o4755)],
    [text("app/main.py", "print()")],
    [text("var/lib/dpkg/status", NEXT)],
]
At = Callable[..., AbstractAsyncContextManager[Driven]]


def screen(ui: Driven) -> PackagesScreen:
    found = ui.app.screen
    assert isinstance(found, PackagesScreen)
    return found


@pytest.fixture
def at(drive: Drive, tmp_path: Path) -> At:
    @asynccontextmanager
    async def there(**options: Any) -> AsyncIterator[Driven]:
        async with drive(reader=real_images.opened(tmp_path, LAYERS), **options) as ui:
            yield ui

    return there


async def test_details_tell_packages_and_rights_of_the_layer(at: At) -> None:
    async with at() as ui:
        await ui.until(lambda: "1 added, 1 upgraded, 1 removed: p" in ui.text)
        await ui.press("j")
        await ui.until(lambda: "none changed" in ui.text)
        await ui.press("j")
        await ui.until(lambda: "3 added: bash 5.2, old 1" in ui.text)
        assert "1 setuid: /bin/su" in ui.text
        assert "\x1b" not in ui.text


async def test_the_screen_has_them_all_with_letters(at: At) -> None:
    async with at() as ui:
        await ui.press("P")
        await ui.until(lambda: "3 rows" in ui.text)
        rows = [row.split() for row in ui.pane("packages")[1:4]]
        assert rows == [
            ["A", "Debian", "5.12kB", "python3", "3"],
            ["M", "Debian", "7.17MB", "bash", "5.2", "→", "5.3"],
            ["R", "Debian", "5.12kB", "old", "1"],
        ]
        assert "2: RUN layer 2" in "\n".join(ui.pane("packages-facts"))
        await ui.press("t")
        await ui.until(lambda: "Packages up to layer 2" in ui.text and "4 rows" in ui.text)
        assert "/bin/su  setuid (user 0)" in ui.text
        assert "e\\e[31mvil" in ui.text
        await ui.press("t")
        await ui.until(lambda: "3 rows" in ui.text)
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_layers_are_walked_with_brackets(at: At) -> None:
    async with at() as ui:
        await ui.press("P", "]")
        assert "This is the top layer." in ui.lines[-1]
        await ui.press("[")
        await ui.until(lambda: "This layer changes no packages." in ui.text)
        await ui.press("[")
        await ui.until(lambda: "4 rows" in ui.text)
        await ui.press("[")
        assert "This is the base layer." in ui.lines[-1]
        await ui.press("]")
        await ui.until(lambda: "Packages of layer 1" in ui.text)


async def test_enter_goes_to_a_file_with_special_rights(at: At) -> None:
    async with at() as ui:
        await ui.press("P", "[", "[")
        await ui.until(lambda: "4 rows" in ui.text)
        await ui.press("enter")
        assert "This is no single file." in ui.lines[-1]
        await ui.press("tab", "shift+tab", "G", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.current() == "bin/su")
        assert ui.main.place.layer == 0


async def test_the_key_says_why_it_means_nothing(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("P")
        assert "No image is open" in ui.lines[-1]
    async with drive(reader=fakes.FakeReader().hold(), wait=False) as ui:
        await ui.until(lambda: ui.main.session is not None)
        await ui.press("P")
        assert "once all layers have been read" in ui.lines[-1]


def then() -> Callable[[Pilot[Any]], Any]:
    async def before(pilot: Pilot[Any]) -> None:
        main = pilot.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        for _ in range(400):
            await asyncio.sleep(0.01)
            if main.session and main.session.glances and main.images.total:
                break
        await pilot.press("P", "t")
        for _ in range(400):
            await asyncio.sleep(0.01)
            shown = pilot.app.screen
            if isinstance(shown, PackagesScreen) and shown.list.rows:
                break
        await pilot.pause(0.3)

    return before


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
def test_picture(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int]) -> None:
    app = LayerscopeApp(
        "app:1",
        fakes.opener(real_images.opened(tmp_path, LAYERS)),  # type: ignore[arg-type]
        fakes.connector(),
        clock=lambda: fakes.NOW,
    )
    assert snap_compare(app, terminal_size=size, run_before=then())
