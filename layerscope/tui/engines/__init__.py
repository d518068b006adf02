"""The list of engines: what each has, and switching to another."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.engines.screen import EngineRows, EnginesScreen

    return EnginesScreen, EngineRows


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.engines.screen import EnginesScreen

    app.push_screen(EnginesScreen(place))


ROOM = Room("engines", _keyed, {"engines": Destination(_go)})
