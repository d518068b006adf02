"""Pictures of the screens, compared with those that were found to be good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from layerscope.tui.app import LayerscopeApp
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes


def app(
    source: str | None = "hello:latest",
    reader: fakes.FakeReader | Exception | None = None,
    engine: fakes.FakeEngine | Exception | None = None,
    **options: Any,
) -> LayerscopeApp:
    return LayerscopeApp(source, **fakes.parts(reader, engine), **options)


def then(*keys: str) -> Before:
    """Waits for the image, and presses keys."""

    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk(*keys)

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


@sizes((120, 40), (80, 24))
@pytest.mark.parametrize("case", CASES)
def test_screen(picture: Picture, case: str, size: Size) -> None:
    make, keys = CASES[case]
    picture(make(), size, then(*keys))


@sizes((200, 60))
@pytest.mark.parametrize("case", ["layers", "zoom", "details"])
def test_wide_screen(picture: Picture, case: str, size: Size) -> None:
    make, keys = CASES[case]
    picture(make(), size, then(*keys))


@looks()
def test_look(picture: Picture, look: Look) -> None:
    """The panes alone: the keys at the bottom are in the other pictures."""

    async def before(ui: Driven) -> None:
        await then("j", "j", "j", "t", "3", "E", "j", "j")(ui)
        ui.main.keys.display = False

    picture(app(theme=look.theme, glyphs=look.glyphs), look.size, before)
