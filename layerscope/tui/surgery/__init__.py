"""Creating an image from the open one: squash layers, drop a path, or rebase."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.surgery.screen import ChangeList, SurgeryScreen

    return SurgeryScreen, ChangeList


def _why_not(place: Place) -> str:
    session = place.session
    if session is None:
        return "No image is open."
    if session.loaded is None or not session.ended or session.contents is None:
        return "The whole image must have been read first."
    if session.source.startswith("container:"):
        return "A container is not an image: commit it first."
    return "" if place.connector is not None else "There is no engine here."


def _why_not_squash(place: Place) -> str:
    loaded = place.session and place.session.loaded
    if place.layer is None or not loaded:
        return _why_not(place) or "Go to a layer first: this one made none."
    top = loaded.stack.height - 1
    return _why_not(place) or ("" if place.layer < top else "There is no layer above this one.")


def _why_not_drop(place: Place) -> str:
    if place.pane != "files" or place.view is None or place.node is None:
        return "Go to a path in the files first: this drops it from its layer."
    return _why_not(place)


def _squash(app: App[Any], place: Place) -> None:
    from layerscope.tui.surgery.screen import SurgeryScreen, squash_at

    app.push_screen(SurgeryScreen(place, squash_at(place)))


def _drop(app: App[Any], place: Place) -> None:
    from layerscope.tui.surgery.screen import SurgeryScreen, drop_at

    app.push_screen(SurgeryScreen(place, drop_at(place)))


def _rebase(app: App[Any], place: Place) -> None:
    from layerscope.tui.surgery.screen import SurgeryScreen

    app.push_screen(SurgeryScreen(place, None))


ROOM = Room(
    "surgery",
    _keyed,
    {
        "squash": Destination(_squash, _why_not_squash),
        "drop": Destination(_drop, _why_not_drop),
        "rebase": Destination(_rebase, _why_not, reads=True),
    },
)
