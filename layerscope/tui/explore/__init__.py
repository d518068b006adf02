"""The main screen: images, layers, files, details."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.base_app import app_of
from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.explore.shell import choose_shell, start_shell, why_no_shell
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.explore.container_list import ContainerList
    from layerscope.tui.explore.copy import CopyScreen
    from layerscope.tui.explore.extract import ExtractScreen
    from layerscope.tui.explore.image_list import ImageList
    from layerscope.tui.explore.layer_list import LayerList
    from layerscope.tui.explore.screen import MainScreen

    return MainScreen, ImageList, ContainerList, LayerList, CopyScreen, ExtractScreen


def _copy(app: App[Any], place: Place) -> None:
    from layerscope.tui.explore.copy import ask

    ask(app, place)


def _why_no_extract(place: Place) -> str:
    session = place.session
    if session is None:
        return "No image is open."
    if session.loaded is None or session.contents is None or not session.ended:
        return "Files can be extracted once the whole image has been read."
    if place.view is None or place.node is None:
        return "Go to a file or folder first."
    return ""


def _extract(app: App[Any], place: Place) -> None:
    from layerscope.tui.explore.extract import ExtractScreen

    app.push_screen(ExtractScreen(place), app_of(app).say_if)


ROOM = Room(
    "explore",
    _keyed,
    {
        "copy": Destination(_copy),
        "extract": Destination(_extract, _why_no_extract),
        "shell": Destination(start_shell, why_no_shell),
        "other-shell": Destination(choose_shell, why_no_shell),
    },
)
