"""Sentences of the build screen, and the layer that it shows for a step."""

from __future__ import annotations

from layerscope.build.compare import Compared
from layerscope.build.events import BuildEvent
from layerscope.build.state import BuildState, BuildStep
from layerscope.jobs.job import State
from layerscope.text import docker_size, duration, plural, short_id
from layerscope.tui.terminal.glyphs import SEPARATOR

NO_STEP_FAILED = "The build failed: the log says why. e edits the Dockerfile, b builds again."


def progress(state: BuildState, seconds: float) -> str:
    parts = [duration(seconds)]
    context = state.context
    if context is not None:
        size, files = docker_size(context.size or 0), plural(context.files or 0, "file")
        parts.insert(0, f"context {size} in {files}")
    if state.warnings:
        parts.insert(0, plural(len(state.warnings), "warning"))
    return SEPARATOR.join(parts)


def ending(state: State, end: BuildEvent | None) -> str:
    """Returns how a build ended, from the state of its job and the last event, if any."""
    if state is State.FINISHED and end is not None:
        parts = [f"Built {short_id(end.image or '')}"]
        parts += [] if end.size is None else [docker_size(end.size)]
        parts += [f"{docker_size(end.wasted)} wasted"] if end.wasted else []
        parts += [] if end.seconds is None else [duration(end.seconds)]
        return SEPARATOR.join(parts)
    text = {State.CANCELLED: "Cancelled", State.DIED: "Killed"}
    took = "" if end is None or end.seconds is None else f" after {duration(end.seconds)}"
    return f"{text.get(state, 'Failed')}{took}"


def failure(step: BuildStep, has_image: bool) -> str:
    """Returns a sentence about a failed step, with advice."""
    code = step.ended.exit_code if step.ended is not None else None
    what = f"Step {step.label} failed" + (f" with exit code {code}." if code is not None else ".")
    ways = "x opens a shell, " if has_image else ""
    return f"{what} {ways}b builds again."


def broken_here(compared: Compared | None, step: BuildStep | None) -> str:
    broken = compared.broken if compared is not None else None
    if broken is None or step is None or step.key != broken.key:
        return ""
    return f"Cache broken: {broken.why}"


def layer_of(step: BuildStep, state: BuildState) -> tuple[str, str] | None:
    """Returns an image with a step's layer, and the layer's diff_id; None if there is none yet."""
    if step.ended is None or step.ended.diff_id is None:
        return None
    image = step.ended.image or (state.end.image if state.end is not None else None)
    return None if image is None else (image, step.ended.diff_id)
