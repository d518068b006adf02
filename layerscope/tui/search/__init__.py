"""Registries: searching for repositories, and the tags of one."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.search.screen import HitList, SearchEntry, SearchScreen
    from layerscope.tui.search.tags import TagRows, TagsScreen

    return SearchScreen, SearchEntry, HitList, TagsScreen, TagRows


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.search.screen import SearchScreen

    app.push_screen(SearchScreen(place))


ROOM = Room("search", _keyed, {"search": Destination(_go)})
