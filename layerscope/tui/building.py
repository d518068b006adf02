"""From the wish to build to the screen that shows it; and to jobs that run already."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.message import Message

from layerscope.errors import LayerscopeError
from layerscope.text import visible
from layerscope.tui.background import run_beside

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen

    from layerscope.build.request import BuildRequest
    from layerscope.jobs.job import Job
    from layerscope.tui.session import Opener


#: Seconds between two looks at a build that was left.
_PERIOD = 0.5

_ENDS = {
    "finished": "is done",
    "failed": "failed",
    "cancelled": "was cancelled",
    "died": "ended without a word",
}


class BuildLeft(Message):
    """A build that was looked at is over: the engine may have other images now.

    Attributes:
        outcome: What became of it since it was left, in a sentence; empty if it was over before.
    """

    def __init__(self, outcome: str) -> None:
        super().__init__()
        self.outcome = outcome


def tell_end(job: Job, screen: Screen[Any]) -> None:
    """Tells a screen that a build is over: `BuildLeft`, now or when it is.

    Args:
        job: The build.
        screen: Whom to tell.
    """
    from layerscope.jobs.job import State

    def wait() -> None:
        left = False
        while (state := job.state) is State.RUNNING and screen.is_running:
            left = True
            time.sleep(_PERIOD)
        if screen.is_running:
            text = f"The build of {visible(job.title)} {_ENDS[state.value]}. J shows it."
            screen.post_message(BuildLeft(text if left else ""))

    run_beside("build-end", wait)


def ask(
    app: App[Any],
    opener: Opener,
    done: Callable[[str | None], None],
    say: Callable[[str], object],
) -> None:
    """Asks what to build, and builds it.

    Args:
        app: The app.
        opener: Opens images.
        done: Given the source of an image that the user wants to look at, or None.
        say: Says what went wrong.
    """
    from layerscope.build.known_builds import build_to_repeat
    from layerscope.build.request import build_request
    from layerscope.dockerfile.text_file import current_folder
    from layerscope.tui.screens.build_form import BuildForm

    def chosen(request: BuildRequest | None) -> None:
        if request is not None:
            start(app, request, opener, done, say)

    last = build_to_repeat(current_folder())
    app.push_screen(BuildForm(None if last is None else build_request(last.spec)), chosen)


def start(
    app: App[Any],
    request: BuildRequest,
    opener: Opener,
    done: Callable[[str | None], None],
    say: Callable[[str], object],
) -> None:
    """Starts a build, and shows it."""
    from layerscope.jobs import launch

    try:
        title = " ".join(request.tags) or request.context
        job = launch.start("build", title, "layerscope.build.worker", request.spec())
    except LayerscopeError as error:
        say(str(error))
    else:
        show(app, job, opener, done)


def show(app: App[Any], job: Job, opener: Opener, done: Callable[[str | None], None]) -> None:
    """Shows a build, from its first line on."""
    from layerscope.tui.screens.build import BuildScreen

    app.push_screen(BuildScreen(job, opener), done)


def choose_job(app: App[Any], opener: Opener, done: Callable[[str | None], None]) -> None:
    """Asks which job to attach to, and shows it."""
    from layerscope.tui.screens.jobs import JobsScreen

    def chosen(job: Job | None) -> None:
        if job is not None:
            show(app, job, opener, done)

    app.push_screen(JobsScreen(), chosen)
