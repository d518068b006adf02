"""From the wish to edit a Dockerfile to the editor: which one it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.build.state import StepState
from layerscope.errors import LayerscopeError
from layerscope.text import one_line, visible

if TYPE_CHECKING:
    from textual.app import App

    from layerscope.build.state import BuildState, BuildStep
    from layerscope.images.image import Image
    from layerscope.jobs.job import Job
    from layerscope.tui.leads import Place
    from layerscope.tui.screens.editor import EditorScreen, Start
    from layerscope.tui.session import Opener


def editor(place: Place) -> EditorScreen:
    """The editor for where the user is.

    It is the Dockerfile that the open image was built from, or else the one of the current folder,
    or else what the image's history says; without any of these, a new file.
    """
    from layerscope.tui.screens.editor import EditorScreen

    return EditorScreen(_start(place), place.opener, place.connector, place.session)


def _start(place: Place) -> Start:
    from layerscope.build.known_builds import build_of
    from layerscope.dockerfile.text_file import current_folder, find_dockerfile
    from layerscope.tui.screens.editor import Start

    image = place.session.image if place.session is not None else None
    if image is not None:
        job = build_of(image.id)
        known = None if job is None else Path(str(job.spec["dockerfile"]))
        if job is not None and known is not None and known.is_file():
            notice = f"The image was built from this by job {job.id}."
            return Start(known, layer=place.layer, notice=notice)
    here = find_dockerfile(current_folder())
    if here is not None:
        return Start(here.absolute(), layer=place.layer)
    if image is not None:
        text, source = reversed_text(image)
        notice = "Made from the image's history, which does not tell everything."
        return Start(None, text, source, layer=place.layer, notice=notice)
    return Start(current_folder() / "Dockerfile")


def reversed_text(image: Image) -> tuple[str, str]:
    """A Dockerfile made from an image's history, and what to call it."""
    from layerscope.dockerfile.reverse import reconstruct

    lines = reconstruct(image.history, image.reference, image.config)
    return "\n".join(lines) + "\n", f"Reconstructed from {visible(image.reference)}"


def edit_step(
    app: App[Any], job: Job, state: BuildState | None, step: BuildStep | None, opener: Opener
) -> None:
    """Goes to the instruction of a build step: in the editor below, if it is there, or in another.

    Args:
        app: The app, with the screen of the build on top.
        job: The build.
        state: What is known of it.
        step: The step; None for no instruction in particular.
        opener: Opens images.
    """
    from layerscope.tui.screens.editor import EditorScreen, Start
    from layerscope.tui.screens.main import MainScreen

    path = Path(str(job.spec["dockerfile"]))
    line = None if step is None or step.line is None else step.line - 1
    if state is not None and step is not None:
        line = _line_now(path, state, step, line)
    notice = ""
    if step is not None and step.state is StepState.FAILED:
        text = step.ended.text if step.ended is not None else ""
        notice = f"Step {step.label} failed: {one_line(text or '')}"
    main, below = app.screen_stack[0], app.screen_stack[-2]
    if isinstance(below, EditorScreen) and below.keeper.path == path:
        app.screen.dismiss(None)
        below.show_line(line, notice)
        return
    connector = main.place.connector if isinstance(main, MainScreen) else None
    app.push_screen(EditorScreen(Start(path, line=line, notice=notice), opener, connector))


def _line_now(path: Path, state: BuildState, step: BuildStep, line: int | None) -> int | None:
    """The line of a step's instruction in the file as it is now."""
    from layerscope.build.known_builds import match_steps
    from layerscope.dockerfile.parser import parse
    from layerscope.dockerfile.text_file import read_text_file

    try:
        document = parse(read_text_file(path).text)
    except LayerscopeError:
        return line
    for number, each in match_steps(document, state).items():
        if each.number == step.number:
            return document.source.line_at(document.instructions[number].span.start)
    return line
