"""The steps of a build: state, instruction, size of the layer, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType

from layerscope.build.state import BuildState, BuildStep, StepKey, StepState
from layerscope.text import docker_size, one_line
from layerscope.tui import glyphs
from layerscope.tui.format import Line, cut, left, plural, right
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.theme import Palette
from layerscope.tui.widgets.row_view import RowView

#: A mark and a word for each state: never a colour alone.
_WORDS = {
    StepState.WAITING: "waiting",
    StepState.RUNNING: "running",
    StepState.DONE: "done",
    StepState.COMMITTED: "committed",
    StepState.CACHED: "cached",
    StepState.FAILED: "failed",
    StepState.STOPPED: "stopped",
    StepState.SKIPPED: "not run",
}


#: Steps that nothing has happened to.
_IDLE = (StepState.WAITING, StepState.SKIPPED)


class StepList(RowView):
    """The steps of the Dockerfile, those that wait for their turn dimmed.

    Attributes:
        follow: Whether the cursor goes to the step that runs, until the user moves it.
        reason: Why the build ended without an image, safe to show; empty if it did not.
    """

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Look", key_display="enter", id="steps.look"),
    ]

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__("steps")
        self.follow = True
        self.reason = ""
        self._clock = clock
        self._steps: list[BuildStep] = []
        self._digits = 3
        self._total = 0
        self._before: Mapping[StepKey, BuildStep] = {}

    @property
    def step(self) -> BuildStep | None:
        """The step under the cursor."""
        return self._steps[self.cursor] if self._steps else None

    @property
    def why_no_layer(self) -> str:
        """Why there are no files of the step under the cursor."""
        step = self.step
        if step is None or step.state is StepState.WAITING:
            return "This step has not begun."
        if step.state is StepState.SKIPPED:
            return "This step did not run."
        if step.state is StepState.FAILED:
            return "This step failed: nothing of it is kept."
        if step.state is StepState.STOPPED and self.reason:
            return self.reason
        if step.ended is None and step.state in (StepState.DONE, StepState.CACHED):
            # BuildKit makes an image when all steps are done, and none if one fails.
            if self.reason:
                return "The build made no image. This step is in BuildKit's cache."
            return "BuildKit commits at the end. Its files are shown then."
        if step.ended is None:
            return "Nothing is committed yet."
        return "This step changes no files."

    def show(self, state: BuildState, before: Mapping[StepKey, BuildStep]) -> None:
        """Shows the steps as they are now.

        Args:
            state: The build.
            before: The same steps in the last build, by their keys.
        """
        self._before = before
        self._steps = state.all_steps
        self._digits = max(3, *(len(step.label) for step in self._steps), 0)
        self._total = max(state.total + len(state.triggers), len(self._steps))
        cursor = None
        running = state.failed or state.running or state.stopped
        if self.follow and self._steps:
            cursor = self._steps.index(running) if running else self._last()
        moved = cursor is not None and cursor != self.cursor
        self.set_rows(len(self._steps), cursor)
        if moved:
            self.post_message(self.Moved(self))
        not_done = (*_IDLE, StepState.RUNNING, StepState.FAILED, StepState.STOPPED)
        done = sum(step.state not in not_done for step in self._steps)
        cached = sum(step.state is StepState.CACHED for step in self._steps)
        parts = [f"{done} of {plural(self._total, 'step')}"] if self._total else []
        parts += [f"{cached} cached"] if cached else []
        self.set_texts("1 Steps", SEPARATOR.join(parts))

    def _last(self) -> int:
        """The last step that there is something to see of."""
        rows = [row for row, step in enumerate(self._steps) if step.has_layer or step.log]
        begun = [row for row, step in enumerate(self._steps) if step.state not in _IDLE]
        return max(rows, default=max(begun, default=0))

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        muted = self.ink.muted
        line: Line = [(f"    {right('#', self._digits)} ", muted)]
        if width >= 60:
            line.append((left("State", 10), muted))
        line.append((f"{right('Size', 7)} {right('Took', 7)}  ", muted))
        if self._shows_before(width):
            line.append((f"{right('Before', 17)}  ", muted))
        line.append(("Instruction", muted))
        return line

    def row(self, row: int, width: int) -> Line:
        """A step."""
        colors = self.ink
        step = self._steps[row]
        mark, style = _mark(step.state, colors)
        idle = step.state in _IDLE
        line: Line = [
            (f" {mark}  ", style),
            (right(step.label, self._digits) + " ", colors.muted if idle else colors.strong),
        ]
        used = 5 + self._digits
        if width >= 60:
            line.append((left(_WORDS[step.state], 10), style))
            used += 10
        size = "" if step.ended is None or step.ended.size is None else _size(step)
        took = step.seconds
        if took is None and step.state is StepState.RUNNING and step.begun:
            took = max(0.0, self._clock() - step.begun)
        line.append((right(size, 7) + " ", colors.text))
        line.append((right("" if took is None else duration(took), 7) + "  ", colors.muted))
        used += 17
        if self._shows_before(width):
            line.append((right(self._was(step), 17) + "  ", colors.muted))
            used += 19
        text = cut(one_line(step.instruction), width - used)
        dimmed = step.state is StepState.CACHED or idle
        line.append((text, colors.muted if dimmed else colors.text))
        return line

    def _shows_before(self, width: int) -> bool:
        return width >= 110 and bool(self._before)

    def _was(self, step: BuildStep) -> str:
        """Size and time of the step in the last build, as far as they are other ones."""
        old = self._before.get(step.key)
        if old is None:
            return "new"
        size = _size(old) if old.has_layer else ""
        took = "" if old.seconds is None else duration(old.seconds)
        return " ".join(part for part in (size, took) if part)

    def tick(self) -> None:
        """Repaints what changes by itself: the time of the step that runs."""
        rows = [row for row, step in enumerate(self._steps) if step.state is StepState.RUNNING]
        if rows:
            self.redraw(rows)


def duration(seconds: float) -> str:
    """A time in at most seven cells: `0.3s`, `12.4s`, `3m 05s`, `1h 02m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    return f"{minutes // 60}h {minutes % 60:02}m"


def _size(step: BuildStep) -> str:
    return docker_size(step.ended.size or 0) if step.ended is not None else ""


def _mark(state: StepState, colors: Palette) -> tuple[str, Style]:
    return {
        StepState.RUNNING: (glyphs.BUSY, colors.accent),
        StepState.DONE: (glyphs.DONE, colors.muted),
        StepState.COMMITTED: (glyphs.DONE, colors.added),
        StepState.CACHED: ("=", colors.muted),
        StepState.FAILED: (glyphs.FAILED, colors.removed),
        StepState.STOPPED: ("-", colors.warning),
        StepState.WAITING: (" ", colors.muted),
        StepState.SKIPPED: (" ", colors.muted),
    }[state]
