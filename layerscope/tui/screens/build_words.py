"""What the screen of a build says of its end, and which layer it shows of a step."""

from __future__ import annotations

from layerscope.build.compare import Compared
from layerscope.build.events import BuildEvent
from layerscope.build.state import BuildState, BuildStep
from layerscope.jobs.job import State
from layerscope.text import docker_size, short_id
from layerscope.tui.format import plural
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.widgets.step_list import duration


def progress(state: BuildState, seconds: float) -> str:
    """What is known of a build that runs."""
    parts = [duration(seconds)]
    context = state.context
    if context is not None:
        size, files = docker_size(context.size or 0), plural(context.files or 0, "file")
        parts.insert(0, f"context {size} in {files}")
    if state.warnings:
        parts.insert(0, plural(len(state.warnings), "warning"))
    return SEPARATOR.join(parts)


def ending(state: State, end: BuildEvent | None) -> str:
    """How a build ended.

    Args:
        state: What became of its job.
        end: The event that ended it; None if there was none.
    """
    if state is State.FINISHED and end is not None:
        return outcome(end)
    text = {State.CANCELLED: "Cancelled", State.DIED: "Ended without a word"}
    took = "" if end is None or end.seconds is None else f" after {duration(end.seconds)}"
    return f"{text.get(state, 'Failed')}{took}"


def outcome(end: BuildEvent) -> str:
    """What a build has made: id, size, waste and time."""
    parts = [f"Built {short_id(end.image or '')}"]
    if end.size is not None:
        parts.append(docker_size(end.size))
    if end.wasted:
        parts.append(f"{docker_size(end.wasted)} wasted")
    if end.seconds is not None:
        parts.append(duration(end.seconds))
    return SEPARATOR.join(parts)


def failure(step: BuildStep, has_image: bool) -> str:
    """That a step failed, which the log has more of, and what can be done."""
    code = step.ended.exit_code if step.ended is not None else None
    what = f"Step {step.label} failed" + (f" with exit code {code}." if code is not None else ".")
    ways = "x opens a shell, " if has_image else ""
    return f"{what} {ways}b builds again."


def broken_here(compared: Compared | None, step: BuildStep | None) -> str:
    """Why the cache broke, if it did at a step."""
    broken = compared.broken if compared is not None else None
    if broken is None or step is None or step.key != broken.key:
        return ""
    return f"Cache broken: {broken.why}"


def layer_of(step: BuildStep, state: BuildState) -> tuple[str, str] | None:
    """An image that has the layer of a step, and the layer's diff_id; None if it has none yet."""
    if step.ended is None or step.ended.diff_id is None:
        return None
    image = step.ended.image or (state.end.image if state.end is not None else None)
    return None if image is None else (image, step.ended.diff_id)
