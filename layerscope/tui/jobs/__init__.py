"""The list of jobs."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.jobs.screen import JobList, JobsScreen

    return JobsScreen, JobList


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.jobs.screen import JobsScreen

    app.push_screen(JobsScreen(place))


ROOM = Room("jobs", _keyed, {"jobs": Destination(_go)})
