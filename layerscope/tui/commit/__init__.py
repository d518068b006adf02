"""Committing a container to an image."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed

_CONTAINER = "container:"


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.commit.dialog import CommitDialog
    from layerscope.tui.commit.screen import CommitScreen, WrittenList

    return CommitScreen, WrittenList, CommitDialog


def _why_not(place: Place) -> str:
    if place.connector is None:
        return "There is no engine here."
    return "" if place.source.startswith(_CONTAINER) else "Go to a container first."


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.commit.screen import CommitScreen

    app.push_screen(CommitScreen(place, place.source.removeprefix(_CONTAINER)))


ROOM = Room("commit", _keyed, {"commit": Destination(_go, _why_not)})
