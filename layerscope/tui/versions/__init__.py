"""The versions of a path."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.versions.screen import VersionsScreen
    from layerscope.tui.versions.version_list import VersionList

    return VersionsScreen, VersionList


def _why_not(place: Place) -> str:
    session, view, node = place.session, place.view, place.node
    unread = session is None or session.contents is None or session.image is None
    if place.pane == "files" and unread:
        return "Nothing is read yet."
    if place.pane != "files" or view is None or node is None:
        return "Go to a path in the files first: this shows its versions."
    if not view.stack.versions(node):
        return "No layer has an entry for this folder, so it has no versions."
    return ""


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.versions.screen import VersionsScreen

    app.push_screen(VersionsScreen(place))


ROOM = Room("versions", _keyed, {"versions": Destination(_go, _why_not)})
