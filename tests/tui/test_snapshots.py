"""Pictures of the screens, compared with those that were found to be good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.main import MainScreen
from tests.tui import fakes

SIZES = [(120, 40), (80, 24)]
Compare = Callable[..., bool]


def app(
    source: str | None = "hello:latest",
    reader: fakes.FakeReader | Exception | None = None,
    engine: fakes.FakeEngine | Exception | None = None,
    theme: str = "layerscope-dark",
) -> LayerscopeApp:
    return LayerscopeApp(
        source,
        fakes.opener(reader or fakes.FakeReader()),
        fakes.connector(engine),
        clock=lambda: fakes.NOW,
        theme=theme,
    )


def then(*keys: str) -> Callable[[Pilot[Any]], Any]:
    """Waits for the image, presses keys, and waits again."""

    async def before(pilot: Pilot[Any]) -> None:
        main = pilot.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        for _ in range(400):
            await asyncio.sleep(0.01)
            listed = main.images.total or "Looking" not in str(main.images._placeholder)
            if (main._source is None or (main.session and main.session.ended)) and listed:
                break
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
        await pilot.pause(0.3)

    return before


CASES: dict[str, tuple[Callable[[], LayerscopeApp], tuple[str, ...]]] = {
    "images": (lambda: app(None), ()),
    "no_engine": (lambda: app(None, engine=fakes.NO_ENGINE), ()),
    "layers": (app, ()),
    "files": (app, ("j", "j", "j", "3", "j")),
    "union": (app, ("j", "t", "3", "E")),
    "empty_layer": (app, ("k",)),
    "filter": (app, ("G", "slash", "l", "i", "b")),
    "details": (app, ("4",)),
    "zoom": (app, ("G", "3", "z")),
    "help": (app, ("question_mark",)),
    "incomplete": (lambda: app(reader=fakes.FakeReader(fail_at=2)), ()),
    "cannot_open": (lambda: app(reader=fakes.NO_ENGINE), ()),
}


@pytest.mark.parametrize("size", SIZES, ids=["120x40", "80x24"])
@pytest.mark.parametrize("case", CASES)
def test_screen(snap_compare: Compare, case: str, size: tuple[int, int]) -> None:
    make, keys = CASES[case]
    assert snap_compare(make(), terminal_size=size, run_before=then(*keys))


def test_widest(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=(200, 60), run_before=then("j", "j", "j"))


@pytest.mark.parametrize("theme", ["layerscope-light", "layerscope-terminal"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(
        app(theme=theme), terminal_size=(120, 40), run_before=then("j", "j", "j", "3")
    )
