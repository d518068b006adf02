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


def _demo(app: App[Any], place: Place) -> None:
    """Builds the demo, and shows it with its tour."""
    from layerscope.jobs.job import Job
    from layerscope.tui.base_screen import AppScreen
    from layerscope.tui.build.tour import TourScreen
    from layerscope.tui.work import Task

    screen = app.screen
    assert isinstance(screen, AppScreen)  # noqa: S101

    def begin(_: Task[Job]) -> Job:
        # Imported in this thread: numpy comes after the first paint.
        from layerscope.build.embedded.demo import prepare_demo
        from layerscope.build.request import start_build

        return start_build(prepare_demo())

    def begun(job: Job) -> None:
        screen.say("")
        app.push_screen(TourScreen(job, place))

    screen.say("Making the demo…")
    screen.work.start("demo", begin, begun)


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
        "demo": Destination(_demo),
        "build_job": Destination(_show),
    },
)
