"""Tagging images."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.naming.dialog import TagDialog

    return (TagDialog,)


def _why_not(place: Place) -> str:
    if place.connector is None:
        return "There is no engine here."
    return "" if place.listed is not None else "There is no image here to name."


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.naming.dialog import TagDialog

    assert place.listed is not None  # noqa: S101
    app.push_screen(TagDialog(place, place.listed))


ROOM = Room("naming", _keyed, {"tag": Destination(_go, _why_not)})
