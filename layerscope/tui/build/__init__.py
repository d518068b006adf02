"""Builds: the form, the build screen, its steps and its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed

if TYPE_CHECKING:
    from layerscope.build.request import BuildRequest


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.build.form import BuildForm, Toggle
    from layerscope.tui.build.log import BuildLog
    from layerscope.tui.build.offer_list import OfferList
    from layerscope.tui.build.screen import BuildScreen
    from layerscope.tui.build.step_list import StepList

    return BuildScreen, StepList, BuildLog, BuildForm, Toggle, OfferList


def _ask(app: App[Any], place: Place) -> None:
    from layerscope.build.known_builds import build_to_repeat
    from layerscope.build.request import BUILD
    from layerscope.dockerfile.editing.text_file import current_folder
    from layerscope.tui.build.form import BuildForm

    def chosen(request: BuildRequest | None) -> None:
        if request is not None:
            _start(app, request, place)

    request = place.request
    if request is None and (last := build_to_repeat(current_folder())) is not None:
        request = BUILD.request_of(last)
    app.push_screen(BuildForm(request), chosen)


def _start(app: App[Any], request: BuildRequest, place: Place) -> None:
    from layerscope.build.request import start_build
    from layerscope.errors import LayerscopeError
    from layerscope.tui.build.screen import BuildScreen, cannot_build

    try:
        job = start_build(request)
    except LayerscopeError as error:
        app.push_screen(cannot_build(error))
    else:
        app.push_screen(BuildScreen(job, place))


def _again(app: App[Any], place: Place) -> None:
    assert place.request is not None  # noqa: S101
    _start(app, place.request, place)


def _show(app: App[Any], place: Place) -> None:
    from layerscope.tui.build.screen import BuildScreen

    assert place.build is not None  # noqa: S101
    app.push_screen(BuildScreen(place.build[0], place))


ROOM = Room(
    "build",
    _keyed,
    {
        "build": Destination(_ask),
        "build_again": Destination(_again),
        "build_job": Destination(_show),
    },
)
