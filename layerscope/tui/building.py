"""From the wish to build to the screen that shows it; and to jobs that run already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.errors import LayerscopeError

if TYPE_CHECKING:
    from textual.app import App

    from layerscope.build.request import BuildRequest
    from layerscope.jobs.job import Job
    from layerscope.tui.session import Opener


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
    from layerscope.tui.screens.build_form import BuildForm

    def chosen(request: BuildRequest | None) -> None:
        if request is not None:
            start(app, request, opener, done, say)

    last = build_to_repeat(Path.cwd())
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
