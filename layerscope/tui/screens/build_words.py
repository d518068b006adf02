"""What the screen of a build says of its end, and which layer it shows of a step."""

from __future__ import annotations

from layerscope.build.events import BuildEvent
from layerscope.build.state import BuildState, BuildStep
from layerscope.text import docker_size, short_id
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.widgets.step_list import duration


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


def layer_of(step: BuildStep, state: BuildState) -> tuple[str, str] | None:
    """An image that has the layer of a step, and the layer's diff_id; None if it has none yet."""
    if step.ended is None or step.ended.diff_id is None:
        return None
    image = step.ended.image or (state.end.image if state.end is not None else None)
    return None if image is None else (image, step.ended.diff_id)
