"""Packages of a layer at a glance, and on a screen of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from layerscope.tui.app import LayerscopeApp
from tests.archives import Item, text
from tests.tui import fakes, real_images
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes

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
        assert "This is the top layer." in ui.message
        await ui.press("[")
        await ui.until(lambda: "This layer changes no packages." in ui.text)
        await ui.press("[")
        await ui.until(lambda: "4 rows" in ui.text)
        await ui.press("[")
        assert "This is the base layer." in ui.message
        await ui.press("]")
        await ui.until(lambda: "Packages of layer 1" in ui.text)


async def test_enter_goes_to_a_file_with_special_rights(at: At) -> None:
    async with at() as ui:
        await ui.press("P", "[", "[")
        await ui.until(lambda: "4 rows" in ui.text)
        await ui.press("enter")
        assert "This is not a single file." in ui.message
        await ui.press("tab", "shift+tab", "G", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.current() == "bin/su")
        assert ui.main.place.layer == 0


@pytest.mark.parametrize("size", [(40, 12), (30, 8)])
async def test_in_few_lines_rows_go_before_details(at: At, size: tuple[int, int]) -> None:
    async with at(size=size) as ui:
        await ui.press("G", "P")
        await ui.until(lambda: "bash" in ui.text)
        header, *rows = ui.pane("packages")
        assert header.split() == ["Size", "Name"]
        assert len(rows) == size[1] - 5
        assert not ui.app.screen.query_one("#packages-facts").display
        await ui.press("tab")
        assert ui.app.screen.query_one("#packages-facts").display
        assert not ui.app.screen.query_one("#packages").display
        assert "Layer" in ui.text
        await ui.press("tab")
        assert ui.pane("packages")[0].split() == ["Size", "Name"]


async def test_the_key_says_why_it_means_nothing(drive: Drive) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        await ui.press("P")
        assert "No image is open" in ui.message
    async with drive(reader=fakes.FakeReader().hold(), wait=False) as ui:
        await ui.until(lambda: ui.main.session is not None)
        await ui.press("P")
        assert "once all layers have been read" in ui.message


@sizes()
def test_picture(picture: Picture, tmp_path: Path, size: Size) -> None:
    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk("P", "t")

    app = LayerscopeApp("app:1", **fakes.parts(real_images.opened(tmp_path, LAYERS)))
    picture(app, size, before)
