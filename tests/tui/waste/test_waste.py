"""The screen that shows what could be saved."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.waste.screen import WasteScreen
from tests.archives import Item, folder, text, whiteout
from tests.tui import fakes, real_images
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes

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
                await ui.until(lambda: ui.at(WasteScreen).finding is None)
                await ui.calm()
            yield ui

    return there


async def test_w_shows_causes_with_what_they_waste(at: At) -> None:
    async with at() as ui:
        header, *rows = [row.strip() for row in ui.pane("waste") if row.strip()]
        assert header.split() == ["Size", "Share", "Files", "Layer", "What"]
        assert [row.split()[0] for row in rows[0:2]] == ["45kB", "45kB"]
        assert "Copied with the content unchanged" in rows[0]
        bars = [re.search("[━╸]", row) for row in ui.pane("waste")]
        assert len({bar.start() for bar in bars if bar}) == 1
        assert rows[1].split()[2:7] == ["48.6%", "9", "0", "→", "1"]
        assert "/app/lib/" in rows[1]
        assert "only owner changed" in rows[1]
        causes = [row.split()[3:5] for row in rows if not row.split()[3].isdecimal()]
        assert [" ".join(cause) for cause in causes] == [
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
        assert "copies the whole file" in "\n".join(ui.pane("waste-facts"))
        await ui.press("G")
        assert "Containers see these files" in "\n".join(ui.pane("waste-facts"))


async def test_space_shows_the_paths_and_hides_them(at: At) -> None:
    async with at() as ui:
        place = next(n for n, row in enumerate(ui.pane("waste")) if "and 1 more" in row) - 1
        ui.at(WasteScreen).list.move_to(place)
        await ui.press("space", "j", "j")
        assert ui.pane("waste")[place + 2].split()[::3] == ["60B", "/etc/one"]
        assert "/srv/two" in "\n".join(ui.pane("waste-facts"))
        await ui.press("h")
        assert ui.at(WasteScreen).list.cursor == place
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
        await ui.until(
            lambda: isinstance(ui.app.screen, WasteScreen) and ui.at(WasteScreen).finding is None
        )
        await ui.press("G", "enter")
        await ui.until(lambda: ui.app.screen is ui.main)
        await ui.until(lambda: ui.current() == "usr/share/doc/x/copyright")


async def test_a_sum_hides_its_findings_and_shows_them_again(at: At) -> None:
    async with at() as ui:
        before = ui.pane("waste")
        await ui.press("g")
        for hide, show in (("enter", "enter"), ("space", "space"), ("h", "l")):
            await ui.press(hide)
            closed = ui.pane("waste")
            assert closed[1] == f"▸{before[1][1:]}"
            assert [line for line in closed[2:] if line] == [line for line in before[3:] if line]
            await ui.press(show)
            assert ui.pane("waste") == before
        await ui.press("e")
        assert "This line is a sum: go to one below it first." in ui.message
        await ui.press("j", "space")
        assert "It has this one path." in ui.message
        await ui.press("ctrl+k")
        assert "Nothing is being compared." in ui.message


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
        # What acts on a row is not offered.
        assert "enter" not in ui.lines[-1]
        await ui.press("j", "G", "space", "enter")
        assert isinstance(ui.app.screen, WasteScreen)
        assert ui.message == "Nothing is listed."


async def test_comparing_can_be_cancelled(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.images.files import hidden as hidden_content
    from layerscope.images.progress import Progress

    def slow(_stack: object, _contents: object, progress: Progress, _tell: object) -> None:
        progress.what, progress.total = "Comparing content", 90_000
        while True:
            progress.advance(1000)
            time.sleep(0.005)

    monkeypatch.setattr(hidden_content, "compare_hidden", slow)
    async with at(wait=False) as ui:
        await ui.until(lambda: "Comparing content  1kB / 90kB" in ui.lines[0])
        assert "not compared" in "\n".join(ui.pane("waste"))
        await ui.press("ctrl+k")
        await ui.until(lambda: ui.at(WasteScreen).finding is None)
        await ui.until(lambda: "45kB not compared" in ui.lines[0])


async def test_without_an_image_or_while_it_is_read_the_key_says_why(drive: Drive) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        await ui.press("w")
        assert "No image is open" in ui.message
    reader = fakes.FakeReader().hold()
    async with drive(reader=reader, wait=False) as ui:
        await ui.until(lambda: ui.main.session is not None)
        await ui.press("w")
        assert "once the whole image has been read" in ui.message


@pytest.mark.parametrize("size", [(40, 12), (30, 8)])
async def test_in_few_lines_rows_go_before_details(at: At, size: tuple[int, int]) -> None:
    async with at(size=size) as ui:
        header, *rows = ui.pane("waste")
        assert header.split() == ["Size", "Layer", "What"]
        assert [row.split()[0] for row in rows[:3]] == ["45kB", "45kB", "1kB"]
        await ui.press("tab")
        assert ui.focus == "waste-facts"
        assert "Written by" in ui.pane("waste-facts")[0]
        assert not ui.app.screen.query_one("#waste").display
        await ui.press("shift+tab")
        assert ui.pane("waste")[0] == header


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12)])
async def test_it_fits_any_size(at: At, size: tuple[int, int]) -> None:
    async with at(size=size) as ui:
        assert "Waste" in ui.text
        assert all(len(line) <= size[0] for line in ui.lines)
        await ui.press("G", "g", "space")


def then(*keys: str) -> Before:
    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk("w", *keys)

    return before


def pictured(folder_path: Path, theme: str = "layerscope-dark") -> LayerscopeApp:
    return LayerscopeApp(
        "app:1", **fakes.parts(real_images.opened(folder_path, LAYERS)), theme=theme
    )


@sizes()
def test_picture(picture: Picture, tmp_path: Path, size: Size) -> None:
    picture(pictured(tmp_path), size, then())


@looks("light", "16", "none")
def test_look(picture: Picture, tmp_path: Path, look: Look) -> None:
    picture(pictured(tmp_path, look.theme), look.size, then("j"))
