"""Removing images."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.remove.screen import RemoveScreen

    return (RemoveScreen,)


def _why_not(place: Place) -> str:
    return "" if place.chosen else "There is no image here to remove."


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.remove.screen import RemoveScreen

    app.push_screen(RemoveScreen(place))


ROOM = Room("remove", _keyed, {"remove": Destination(_go, _why_not)})
