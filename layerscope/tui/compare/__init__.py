"""Two images compared: configuration, layers, files."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.compare.lists import ConfigList, LayerPairs
    from layerscope.tui.compare.pair_diff import PairDiffScreen
    from layerscope.tui.compare.screen import CompareScreen

    return CompareScreen, ConfigList, LayerPairs, PairDiffScreen


def _why_not(place: Place) -> str:
    if place.session is None and not place.source:
        return "There is no image to compare: o opens one."
    return ""


def _pair(app: App[Any], place: Place) -> None:
    from layerscope.tui.compare.screen import CompareScreen

    first, second = place.marked
    app.push_screen(CompareScreen(first, second, place))


def _go(app: App[Any], place: Place) -> None:
    if place.pane == "images" and len(place.marked) == 2:
        _pair(app, place)
        return
    from layerscope.tui.compare.choose import CompareWithScreen

    app.push_screen(CompareWithScreen(place))


ROOM = Room(
    "compare",
    _keyed,
    {
        "compare": Destination(_go, _why_not),
        "compare_marked": Destination(_pair),  # The two marked images, without a question.
    },
)
