"""Finds the Dockerfile that the editor opens, and the line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layerscope.build.known_builds import build_of, match_steps
from layerscope.build.request import BUILD
from layerscope.build.state import BuildState, BuildStep, StepState
from layerscope.dockerfile.context.conventions import find_dockerfile
from layerscope.dockerfile.editing.text_file import current_folder, read_text_file
from layerscope.dockerfile.meaning.reverse import reconstruct
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import LayerscopeError
from layerscope.images.image import Image
from layerscope.text import one_line, visible
from layerscope.tui.destinations import Place


@dataclass(frozen=True, slots=True)
class Start:
    path: Path | None  # The file, which may be new; None for a text without a file.
    text: str = ""  # The text without a file.
    source: str = ""  # Its origin; safe to show.
    line: int | None = None  # The line to begin at, from 0.
    layer: int | None = (
        None  # A layer of the open image: begins at the instruction that created it.
    )
    notice: str = ""  # A message to show first; safe to show.


def start_at(place: Place) -> Start:
    """Returns what to edit, the first of these that exists.

    - The Dockerfile of the image under the cursor of a list, or else of the open one.
    - The Dockerfile of the current folder.
    - One reconstructed from the open image's history.
    - A new file.
    """
    image = place.session.image if place.session is not None else None
    identifier = "" if image is None else image.id
    if image is None and place.listed is not None and place.pane == "images":
        identifier = place.listed.id
    job = build_of(identifier)
    request = None if job is None else BUILD.request_of(job)
    known = None if request is None else Path(request.dockerfile)
    if job is not None and known is not None and known.is_file():
        notice = f"The image was built from this by job {job.id}."
        return Start(known, layer=place.layer, notice=notice)
    here = find_dockerfile(current_folder())
    if here is not None:
        return Start(here.absolute(), layer=place.layer)
    if image is not None:
        text, source = reconstructed(image)
        notice = "Reconstructed from the image's history, which does not record everything."
        return Start(None, text, source, layer=place.layer, notice=notice)
    return Start(current_folder() / "Dockerfile")


def reconstructed(image: Image) -> tuple[str, str]:
    """Returns a Dockerfile reconstructed from an image's history, and a name for it."""
    lines = reconstruct(image.history, image.reference, image.config)
    return "\n".join(lines) + "\n", f"Reconstructed from {visible(image.reference)}"


def start_at_step(place: Place) -> Start | None:
    """Returns the Dockerfile of a build, at the instruction of a step if there is one."""
    assert place.build is not None  # noqa: S101
    job, state, step = place.build
    request = BUILD.request_of(job)
    if request is None:
        return None
    path = Path(request.dockerfile)
    if state is not None and state.failed_between_steps and not (step and step.has_begun):
        # A fault in the file stopped the build before its first step.
        end = state.end
        known = None if end is None or end.line is None else end.line - 1
        return Start(path, line=known, notice=one_line((end.text if end else "") or ""))
    if step is None:
        return Start(path)
    line = None if step.line is None else step.line - 1
    if state is not None:
        line = _line_now(path, state, step, line)
    notice = ""
    if step.state is StepState.FAILED and state is not None:
        notice = f"Step {step.label} failed: {state.why_failed(step)}"
    return Start(path, line=line, notice=notice)


def _line_now(path: Path, state: BuildState, step: BuildStep, line: int | None) -> int | None:
    """Returns the line of a step's instruction in the current file, or else in the built one."""
    try:
        document = parse(read_text_file(path).text)
    except LayerscopeError:
        return line
    for number, each in match_steps(document, state).items():
        if each.number == step.number:
            return document.source.line_at(document.instructions[number].span.start)
    return line
