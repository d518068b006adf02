"""Pictures of the screens, compared with those that were found to be good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.glyphs import Level
from layerscope.tui.screens.main import MainScreen
from tests.tui import fakes

SIZES = [(120, 40), (80, 24)]
Compare = Callable[..., bool]


def app(
    source: str | None = "hello:latest",
    reader: fakes.FakeReader | Exception | None = None,
    engine: fakes.FakeEngine | Exception | None = None,
    theme: str = "layerscope-dark",
    glyphs: Level = Level.UNICODE,
) -> LayerscopeApp:
    return LayerscopeApp(
        source,
        fakes.opener(reader or fakes.FakeReader()),
        fakes.connector(engine),
        clock=lambda: fakes.NOW,
        theme=theme,
        glyphs=glyphs,
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
    "palette": (app, ("ctrl+p", *"sort by the")),
    "themes": (app, ("ctrl+p", *"theme", "enter", "down")),
    "copy": (app, ("3", "y")),
    "jump": (app, ("3", "ctrl+o")),
    "open": (app, ("o",)),
    "reason": (app, ("n",)),
    "incomplete": (lambda: app(reader=fakes.FakeReader(fail_at=2)), ()),
    "cannot_open": (lambda: app(reader=fakes.NO_ENGINE), ()),
}


@pytest.mark.parametrize("size", SIZES, ids=["120x40", "80x24"])
@pytest.mark.parametrize("case", CASES)
def test_screen(snap_compare: Compare, case: str, size: tuple[int, int]) -> None:
    make, keys = CASES[case]
    assert snap_compare(make(), terminal_size=size, run_before=then(*keys))


#: Colours of our own, of the terminal, none, and none with ASCII alone, in every size.
LOOKS = {
    "colour": ("layerscope-dark", Level.UNICODE),
    "16": ("layerscope-terminal", Level.UNICODE),
    "none": ("layerscope-plain", Level.UNICODE),
    "ascii": ("layerscope-plain", Level.ASCII),
}
#: Others in one size.
FURTHER = {
    "light": ("layerscope-light", Level.UNICODE),
    "console": ("layerscope-terminal", Level.CONSOLE),
    "foreign": ("nord", Level.UNICODE),
}


def look(theme: str, glyphs: Level, size: tuple[int, int], snap_compare: Compare) -> bool:
    """Compares the panes alone: the keys at the bottom are in the other pictures."""
    press = then("j", "j", "j", "t", "3", "E", "j", "j")

    async def before(pilot: Pilot[Any]) -> None:
        await press(pilot)
        main = pilot.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        main.keys.display = False
        await pilot.pause(0.1)

    made = app(theme=theme, glyphs=glyphs)
    return snap_compare(made, terminal_size=size, run_before=before)


@pytest.mark.parametrize(
    "size", [(80, 24), (120, 40), (200, 60), (60, 15)], ids=lambda size: f"{size[0]}x{size[1]}"
)
@pytest.mark.parametrize("name", LOOKS)
def test_look(snap_compare: Compare, name: str, size: tuple[int, int]) -> None:
    assert look(*LOOKS[name], size, snap_compare)


@pytest.mark.parametrize("name", FURTHER)
def test_further_look(snap_compare: Compare, name: str) -> None:
    assert look(*FURTHER[name], (120, 40), snap_compare)
