"""Marking images, what removing them would free, and removing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.engines.docker import ContainerSummary
from layerscope.errors import EngineError, NotFoundError
from layerscope.images.stored import ImageSummary
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.main import MainScreen
from layerscope.tui.screens.remove import RemoveScreen
from tests.tui import fakes
from tests.tui.conftest import Drive

HELLO, SLIM, DEBIAN, TEAM, NONE = (image.id for image in fakes.IMAGES)
#: Debian's layer is that of hello too; the one without a name has one of its own.
LAYERS = {
    HELLO: ["d", "h"],
    SLIM: ["s"],
    DEBIAN: ["d"],
    TEAM: ["t1", "t2"],
    NONE: ["n"],
}
SIZES = {"d": 117_000_000, "h": 167_000_001, "s": 74_800_000, "t1": 1_000, "t2": 1, "n": 5_200_000}


class RemovingEngine(fakes.FakeEngine):
    """An engine that images can be removed from."""

    keeps_blobs = False

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.removed: list[str] = []
        self.error = error

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        images = [
            x for x in self._images if not {x.id, f"{x.repository}:{x.tag}"} & {*self.removed}
        ]
        if sizes:
            images = [replace(x, shared_size=7_000, unique_size=x.size - 7_000) for x in images]
        return images

    def containers(self) -> list[ContainerSummary]:
        return [ContainerSummary("1", "we\x1bb", TEAM, "running")]

    def all_images(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "Id": image.id,
                "RepoTags": [f"{image.repository}:{image.tag}"] if image.tag != "<none>" else [],
                "Created": image.created,
                "Size": image.size,
            }
            for image in self.images()
        ]

    def inspect(self, name: str) -> Mapping[str, Any]:
        return {"RootFS": {"Layers": LAYERS[name]}}

    def history(self, name: str) -> Sequence[Mapping[str, Any]]:
        return [{"Size": SIZES[layer]} for layer in reversed(LAYERS[name])]

    def cache_shares_layers(self) -> bool:
        return False

    def info(self) -> Mapping[str, Any]:
        return {"Driver": "other"}

    def close(self) -> None:
        """Nothing was opened."""

    def remove_image(self, name: str) -> None:
        if self.error is not None:
            raise self.error
        if name in self.removed or (":" in name and name.startswith("sha256")):
            raise NotFoundError("It is gone.")
        self.removed.append(name)


async def test_marks_are_counted_with_the_bytes_that_they_would_free(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.press("space")
        await ui.until(lambda: "1 marked: frees 167MB (167,000,001 bytes)" in ui.text)
        assert ui.pane("images")[1].startswith("*hello")
        assert ui.main.images.cursor == 1
        await ui.press("j", "space")
        await ui.until(lambda: "2 marked: frees 284MB (284,000,001 bytes)" in ui.text)
        await ui.press("k", "space")
        await ui.until(lambda: "1 marked: frees 167MB" in ui.text)
        await ui.press("escape")
        assert "5 images" in ui.text
        assert "marked" not in ui.text
        await ui.press("escape")
        assert "There is nothing to go back to." in ui.lines[-1]


async def test_a_shared_layer_frees_nothing_and_users_are_in_the_way(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.press("j", "j", "space")
        await ui.until(lambda: "1 marked: frees nothing" in ui.text)
        await ui.press("space")
        await ui.until(lambda: "frees nothing, 1 in use" in ui.text)


@pytest.mark.parametrize("key", ["D", "delete"])
async def test_removing_says_exactly_what_and_asks(drive: Drive, key: str) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("space", "j", "space", key)
        await ui.until(lambda: "This removes 2 images" in ui.text)
        assert "Remove  hello:latest" in ui.text
        assert "Remove  debian:bookworm" in ui.text
        assert "frees 284MB (284,000,001 bytes)" in ui.text
        assert engine.removed == []
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main and "3 images" in ui.text)
        assert "Removed 2 images, freed 284MB (284,000,001 bytes)." in ui.lines[-1]
        assert engine.removed == ["hello:latest", "debian:bookworm"]
        assert "marked" not in ui.text


async def test_without_marks_it_is_the_image_under_the_cursor(drive: Drive) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("j", "D")
        await ui.until(lambda: "This removes 1 image, and frees 74.8MB" in ui.text)
        for leave in ("escape", "n", "q"):
            await ui.press(leave)
            assert ui.app.screen is ui.main
            await ui.press("D")
            await ui.until(lambda: "This removes 1 image" in ui.text)
        assert engine.removed == []


async def test_what_is_in_use_cannot_be_removed(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.press("j", "j", "j", "D")
        await ui.until(lambda: "in use by we\\eb (running)" in ui.text)
        assert "Nothing can be removed." in ui.text
        await ui.press("y")
        assert isinstance(ui.app.screen, RemoveScreen)
        assert "There is nothing to remove." in ui.text


async def test_an_engine_that_refuses_is_quoted(drive: Drive) -> None:
    engine = RemovingEngine(EngineError("The engine answered: conflict.", "Look again."))
    async with drive(None, engine=engine) as ui:
        await ui.press("D")
        await ui.until(lambda: "This removes 1 image" in ui.text)
        await ui.press("y")
        await ui.until(lambda: "The engine answered: conflict. Look again." in ui.text)
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_wide_lists_show_what_is_shared_and_who_uses_it(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine(), size=(200, 60)) as ui:
        await ui.until(lambda: "we\\eb" in ui.text)
        header, first, *_ = ui.pane("images")
        assert header.split()[-5:] == ["SHARED", "UNIQUE", "IN", "USE", "BY"]
        assert first.split()[-2:] == ["7kB", "284MB"]
        assert "\x1b" not in ui.text
    async with drive(None, engine=RemovingEngine(), size=(120, 40)) as ui:
        assert "SHARED" not in ui.text


async def test_without_images_the_keys_say_so(drive: Drive) -> None:
    async with drive(None, engine=fakes.FakeEngine([])) as ui:
        await ui.press("space")
        assert "There is no image here to mark." in ui.lines[-1]
        await ui.press("D")
        assert "There is no image here to remove." in ui.lines[-1]


def then(*keys: str) -> Callable[[Pilot[Any]], Any]:
    async def before(pilot: Pilot[Any]) -> None:
        main = pilot.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        for _ in range(400):
            await asyncio.sleep(0.01)
            if main.images.total and main.images._users:
                break
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)

    return before


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
@pytest.mark.parametrize("keys", [("space", "j", "space"), ("space", "j", "space", "space", "D")])
def test_picture(
    snap_compare: Callable[..., bool], size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    app = LayerscopeApp(
        None, fakes.opener(fakes.FakeReader()), fakes.connector(RemovingEngine()), lambda: fakes.NOW
    )
    assert snap_compare(app, terminal_size=size, run_before=then(*keys))
