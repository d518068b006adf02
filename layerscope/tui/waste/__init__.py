"""What an image wastes, and how to avoid it."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.waste.screen import WasteScreen
    from layerscope.tui.waste.waste_list import WasteList

    return WasteScreen, WasteList


def _why_not(place: Place) -> str:
    session = place.session
    if session is None:
        return "No image is open."
    if session.loaded is None or not session.ended:
        return "What is wasted is known once the whole image has been read."
    if not session.loaded.stack.height:
        return "The image has no layers."
    return ""


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.waste.screen import WasteScreen

    app.push_screen(WasteScreen(place))


ROOM = Room("waste", _keyed, {"waste": Destination(_go, _why_not, reads=True)})
