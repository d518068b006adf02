"""Giving an image another name."""

from __future__ import annotations

from layerscope.tui.app import LayerscopeApp
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.remove.test_remove import HELLO, SLIM, RemovingEngine


def names(engine: RemovingEngine) -> dict[str, str]:
    return {f"{x.repository}:{x.tag}": x.id for x in engine.images()}


async def test_an_image_gets_another_name(drive: Drive) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("plus")
        await ui.until(lambda: "Another name for hello:latest" in ui.text)
        await ui.press("ctrl+u", *"App", "enter")
        await ui.until(lambda: "App is not a name for an image." in ui.text)
        await ui.press("ctrl+u", *"app", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and "app:latest" in ui.message)
    assert names(engine)["app:latest"] == names(engine)["hello:latest"] == HELLO


async def test_a_name_that_is_taken_is_moved_only_if_that_is_confirmed(drive: Drive) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("plus")
        await ui.until(lambda: "Another name" in ui.text)
        await ui.press("ctrl+u", *"debian:bookworm-slim", "enter")
        await ui.until(lambda: "is the name of image 5d5d5d5d5d5d" in ui.text)
        assert "enter moves it" in ui.text
        assert names(engine)["debian:bookworm-slim"] == SLIM
        await ui.press("escape")
        assert ui.app.screen is ui.main
        assert names(engine)["debian:bookworm-slim"] == SLIM
        await ui.press("plus")
        await ui.until(lambda: "Another name" in ui.text)
        await ui.press("ctrl+u", *"debian:bookworm-slim", "enter")
        await ui.until(lambda: "enter moves it" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main)
    assert names(engine)["debian:bookworm-slim"] == HELLO


@sizes((80, 24), (120, 40))
def test_picture(picture: Picture, size: Size) -> None:
    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.press("plus")
        await ui.until(lambda: "Another name" in ui.text)
        await ui.press("ctrl+u", *"debian:bookworm-slim", "enter")
        await ui.until(lambda: "enter moves it" in ui.text)

    app = LayerscopeApp(
        None, fakes.opener(fakes.FakeReader()), fakes.connector(RemovingEngine()), lambda: fakes.NOW
    )
    picture(app, size, before)
