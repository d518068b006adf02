"""The content of a file."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.content.screen import ContentScreen
    from layerscope.tui.content.view import ContentView

    return ContentScreen, ContentView


def _why_not(place: Place) -> str:
    session, view = place.session, place.view
    unread = session is None or session.contents is None or session.image is None
    if place.pane == "files" and unread:
        return "Nothing is read yet."
    if place.pane != "files" or view is None or place.node is None:
        return "Go to a file first: this shows the content of the file under the cursor."
    version = place.version
    # Values of `EntryType`, which is imported later: FILE, HARDLINK, SYMLINK, DIR.
    kind = 3 if version is None else int(view.stack.types[version])
    if kind == 3:
        return "A folder has no content."
    return "" if kind in (0, 1, 2) else "A device or a pipe has no content."


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.content.screen import ContentScreen

    app.push_screen(ContentScreen(place))


ROOM = Room("content", _keyed, {"content": Destination(_go, _why_not)})
