"""Images that are out of date."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.drift.screen import DriftList, DriftScreen

    return DriftScreen, DriftList


def _why_not(place: Place) -> str:
    if place.drifts is None or place.no_engine:
        return place.no_engine
    unnamed = place.marked and not any(name for _, name in place.chosen)
    return "The marked images have no name that a registry may know." if unnamed else ""


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.drift.screen import DriftScreen

    app.push_screen(DriftScreen(place))


ROOM = Room("drift", _keyed, {"drift": Destination(_go, _why_not)})
