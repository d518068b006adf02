"""The screen that tells what could be saved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.main import MainScreen
from layerscope.tui.screens.waste import WasteScreen
from tests.archives import Item, folder, text, whiteout
from tests.tui import fakes, real_images
from tests.tui.conftest import Drive, Driven

LISTS = "var/lib/apt/lists"
LAYERS: list[list[Item]] = [
    [
        folder("app"),
        *(text(f"app/lib/{n}.so", str(n) * 5000) for n in range(9)),
        text("app/gone", "g" * 700),
        text("app/tree/a/b", "g" * 300),
        text("app/tree/a/c\x1b[31m", "g" * 30),
        text("etc/one", "1" * 60),
        text("srv/two", "2" * 60),
        text(f"{LISTS}/main", "l" * 1000),
    ],
    [
        *(text(f"app/lib/{n}.so", str(n) * 5000, uid=33) for n in range(9)),
        text("etc/one", "one"),
        text("srv/two", "two"),
        text("usr/share/doc/x/copyright", "c" * 400),
    ],
    [whiteout("app/gone"), whiteout("app/tree"), whiteout(f"{LISTS}/main")],
]
At = Callable[..., AbstractAsyncContextManager[Driven]]


def screen(ui: Driven) -> WasteScreen:
    found = ui.app.screen
    assert isinstance(found, WasteScreen)
    return found


@pytest.fixture
def at(drive: Drive, tmp_path: Path) -> At:
    """The screen, when everything has been compared."""

    @asynccontextmanager
    async def there(
        layers: list[list[Item]] = LAYERS, wait: bool = True, **options: Any
    ) -> AsyncIterator[Driven]:
        reader = real_images.opened(tmp_path, layers)
        async with drive(reader=reader, **options) as ui:
            await ui.press("w")
            if wait:
                await ui.until(lambda: screen(ui).job is not None and screen(ui).job.ended)  # type: ignore[union-attr]
                await ui.calm()
            yield ui

    return there


async def test_w_shows_causes_with_what_they_waste(at: At) -> None:
    async with at() as ui:
        header, *rows = [row.strip() for row in ui.pane("waste") if row.strip()]
        assert header.split() == ["Size", "Files", "Layer", "What"]
        assert [row.split("  ")[0] for row in rows[0:2]] == ["45kB", "45kB"]
        assert "Copied with the content unchanged" in rows[0]
        assert rows[1].split()[:6] == ["45kB", "9", "0", "→", "1", "/app/lib/"]
        assert "only owner changed" in rows[1]
        causes = [row for row in rows if row[-1:] == "e" and "%" in row]
        assert [" ".join(cause.split()[1:3]) for cause in causes] == [
            "Copied with",
            "Package lists",
            "Removed by",
            "Removed with",
            "Rewritten by",
            "Visible, but",
        ]
        assert "47.1kB wasted, 400B could be left out" in ui.text
        assert ui.focus == "waste"


async def test_details_name_the_remedy_and_both_layers(at: At) -> None:
    async with at() as ui:
        facts = "\n".join(ui.pane("waste-facts"))
        assert "Set the owner in the RUN that makes the files" in facts
        assert "layer 0: RUN layer 0" in facts
        assert "layer 1: RUN layer 1" in facts
        await ui.press("k")
        assert "copies all of it" in "\n".join(ui.pane("waste-facts"))
        await ui.press("G")
        assert "Containers see these files" in "\n".join(ui.pane("waste-facts"))


async def test_space_shows_the_paths_and_hides_them(at: At) -> None:
    async with at() as ui:
        place = next(n for n, row in enumerate(ui.pane("waste")) if "and 1 more" in row) - 1
        screen(ui).list.move_to(place)
        await ui.press("space", "j", "j")
        assert ui.pane("waste")[place + 2].split() == ["60B", "/etc/one"]
        assert "/srv/two" in "\n".join(ui.pane("waste-facts"))
        await ui.press("h")
        assert screen(ui).list.cursor == place
        assert "/etc/one" not in ui.pane("waste")[place + 2]
        await ui.press("l", "space")
        assert "/srv/two" not in "\n".join(ui.pane("waste")[place + 2 :])


async def test_enter_goes_to_the_files_of_the_layer_that_hid_it(at: At) -> None:
    async with at() as ui:
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.current() == "app/lib")
        assert ui.focus == "files"
        assert ui.main.place.layer == 1
        await ui.press("w")
        await ui.until(lambda: isinstance(ui.app.screen, WasteScreen) and screen(ui).job.ended)  # type: ignore[union-attr]
        await ui.press("G", "enter")
        await ui.until(lambda: ui.app.screen is ui.main)
        await ui.until(lambda: ui.current() == "usr/share/doc/x/copyright")


async def test_a_sum_cannot_be_opened_and_says_so(at: At) -> None:
    async with at() as ui:
        for key in ("enter", "space", "l"):
            await ui.press("g", key)
            assert "This line is a sum: go to one below it first." in ui.lines[-1]
        await ui.press("j", "space")
        assert "It has this one path." in ui.lines[-1]
        await ui.press("ctrl+k")
        assert "Nothing is being compared." in ui.lines[-1]


async def test_tab_goes_to_the_details_and_escape_back(at: At) -> None:
    async with at() as ui:
        await ui.press("tab")
        assert ui.focus == "waste-facts"
        await ui.press("shift+tab")
        assert ui.focus == "waste"
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_control_characters_are_shown(at: At) -> None:
    async with at() as ui:
        assert "\x1b" not in ui.text
        await ui.press("G", "k", "k")
        await ui.press("l")
        assert "\x1b" not in ui.text


async def test_an_image_without_waste_says_so(at: At) -> None:
    async with at([[text("a", "a")]]) as ui:
        assert "Nothing is wasted, and nothing stands out" in ui.text
        await ui.press("enter", "j", "G", "space")
        assert isinstance(ui.app.screen, WasteScreen)


async def test_comparing_can_be_cancelled(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.images import hidden_content
    from layerscope.images.progress import Progress

    def slow(_stack: object, _contents: object, progress: Progress, _tell: object) -> None:
        progress.what, progress.total = "Comparing content", 90_000
        for _ in range(2000):
            progress.advance(1000)
            time.sleep(0.005)

    monkeypatch.setattr(hidden_content, "compare_hidden", slow)
    async with at(wait=False) as ui:
        await ui.until(lambda: "Comparing content  1kB / 90kB" in ui.lines[0])
        assert "not compared" in "\n".join(ui.pane("waste"))
        await ui.press("ctrl+k")
        await ui.until(lambda: screen(ui).job is not None and screen(ui).job.ended)  # type: ignore[union-attr]
        await ui.until(lambda: "45kB not compared" in ui.lines[0])


async def test_without_an_image_or_while_it_is_read_the_key_says_why(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("w")
        assert "No image is open" in ui.lines[-1]
    reader = fakes.FakeReader().hold()
    async with drive(reader=reader, wait=False) as ui:
        await ui.until(lambda: ui.main.session is not None)
        await ui.press("w")
        assert "still being read" in ui.lines[-1]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12)])
async def test_it_fits_any_size(at: At, size: tuple[int, int]) -> None:
    async with at(size=size) as ui:
        assert "Waste" in ui.text
        assert all(len(line) <= size[0] for line in ui.lines)
        await ui.press("G", "g", "space")


def then(*keys: str) -> Callable[[Pilot[Any]], Any]:
    async def before(pilot: Pilot[Any]) -> None:
        main = pilot.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        for _ in range(400):
            await asyncio.sleep(0.01)
            if main.session and main.session.ended and main.images.total:
                break
        await pilot.press("w")
        for _ in range(400):
            await asyncio.sleep(0.01)
            waste = pilot.app.screen
            if isinstance(waste, WasteScreen) and waste.job is not None and waste.job.ended:
                break
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
        await pilot.pause(0.3)

    return before


def pictured(folder_path: Path, theme: str = "layerscope-dark") -> LayerscopeApp:
    return LayerscopeApp(
        "app:1",
        fakes.opener(real_images.opened(folder_path, LAYERS)),  # type: ignore[arg-type]
        fakes.connector(),
        clock=lambda: fakes.NOW,
        theme=theme,
    )


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
def test_picture(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int]) -> None:
    assert snap_compare(pictured(tmp_path), terminal_size=size, run_before=then())


@pytest.mark.parametrize("theme", ["layerscope-light", "layerscope-terminal", "layerscope-plain"])
def test_themes(snap_compare: Callable[..., bool], tmp_path: Path, theme: str) -> None:
    app = pictured(tmp_path, theme)
    assert snap_compare(app, terminal_size=(80, 24), run_before=then("j"))
