"""The packages of a layer or an image."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.packages.screen import PackageList, PackagesScreen

    return PackagesScreen, PackageList


def _why_not(place: Place) -> str:
    session = place.session
    if session is None:
        return "No image is open."
    if session.packages is None:
        return "Packages are known once all layers have been read."
    return "" if session.packages.stack.height else "The image has no layers."


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.packages.screen import PackagesScreen

    session = place.session
    assert session is not None and session.packages is not None  # noqa: S101, PT018
    top = session.packages.stack.height - 1
    layer = top if place.layer is None else min(place.layer, top)
    app.push_screen(PackagesScreen(place, layer))


ROOM = Room("packages", _keyed, {"packages": Destination(_go, _why_not, reads=True)})
