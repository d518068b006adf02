"""Finds files in all local images."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.find.screen import FindEntry, FindScreen, FoundList

    return FindScreen, FindEntry, FoundList


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.find.screen import FindScreen
    from layerscope.tui.find.search import ImageIndex

    assert place.connector is not None  # noqa: S101 - only the main screen leads here
    app.push_screen(FindScreen(ImageIndex(place.connector, place.opener, place.cache), place))


ROOM = Room("find", _keyed, {"find": Destination(_go)})
