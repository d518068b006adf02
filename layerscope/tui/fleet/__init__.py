"""The images of all engines."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.fleet.screen import EngineChoice, FleetList, FleetScreen

    return FleetScreen, FleetList, EngineChoice


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.fleet.screen import FleetScreen

    app.push_screen(FleetScreen(place))


ROOM = Room("fleet", _keyed, {"fleet": Destination(_go)})
