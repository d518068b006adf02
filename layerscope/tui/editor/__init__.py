"""The Dockerfile editor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from textual.app import App

from layerscope.tui.base_app import app_of
from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.editor.completion import CompletionList
    from layerscope.tui.editor.dockerfile_area import DockerfileArea
    from layerscope.tui.editor.problems import ProblemList
    from layerscope.tui.editor.screen import EditorScreen

    return EditorScreen, ProblemList, DockerfileArea, CompletionList


def _edit(app: App[Any], place: Place) -> None:
    from layerscope.tui.editor.opening import start_at
    from layerscope.tui.editor.screen import EditorScreen

    start = start_at(place)
    for screen in app_of(app).aside:
        # The text there may be unsaved.
        if isinstance(screen, EditorScreen) and screen.file.path == start.path:
            app_of(app).return_to(screen)
            screen.show_layer(start.layer)
            return
    app.push_screen(EditorScreen(start, place))


def _edit_step(app: App[Any], place: Place) -> None:
    """Goes to a build step's instruction, in an editor that already has the file open if any."""
    from layerscope.tui.editor.opening import start_at_step
    from layerscope.tui.editor.screen import EditorScreen

    start, below = start_at_step(place), app.screen_stack[-2]
    if start is None:
        return
    if isinstance(below, EditorScreen) and below.file.path == start.path:
        app.screen.dismiss(None)
        below.show_line(start.line, start.notice)
    else:
        app.push_screen(EditorScreen(start, replace(place, session=None)))


ROOM = Room("editor", _keyed, {"editor": Destination(_edit), "edit_step": Destination(_edit_step)})
