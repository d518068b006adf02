"""The steps of a build: state, size of the layer, time, instruction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from layerscope.build.compare import Compared
from layerscope.build.state import BuildState, BuildStep, StepKey, StepState
from layerscope.text import docker_size, duration, one_line, plural
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.terminal import glyphs
from layerscope.tui.terminal.glyphs import SEPARATOR

#: Steps that have not run.
_IDLE = (StepState.WAITING, StepState.SKIPPED)
_NOT_DONE = (*_IDLE, StepState.RUNNING, StepState.FAILED, StepState.STOPPED)


@dataclass(frozen=True, slots=True)
class _Row:
    step: BuildStep
    before: str
    clock: Callable[[], float]

    @property
    def dimmed(self) -> bool:
        return self.step.state in (StepState.CACHED, *_IDLE)


def _mark(state: StepState) -> Cell:
    return {
        StepState.RUNNING: (glyphs.BUSY, "accent"),
        StepState.DONE: (glyphs.DONE, "muted"),
        StepState.COMMITTED: (glyphs.DONE, "added"),
        StepState.CACHED: ("=", "muted"),
        StepState.FAILED: (glyphs.FAILED, "removed"),
        StepState.STOPPED: ("-", "warning"),
        StepState.WAITING: (" ", "muted"),
        StepState.SKIPPED: (" ", "muted"),
    }[state]


def _number(row: _Row) -> Cell:
    return row.step.label, "muted" if row.step.state in _IDLE else "strong"


def _size(row: _Row) -> Cell:
    ended = row.step.ended
    return "" if ended is None or ended.size is None else docker_size(ended.size), "text"


def _seconds(row: _Row) -> Cell:
    step, seconds = row.step, row.step.seconds
    if seconds is None and step.state is StepState.RUNNING and step.begun:
        seconds = max(0.0, row.clock() - step.begun)
    return "" if seconds is None else duration(seconds), "muted"


def _before(old: BuildStep | None) -> str:
    """Returns the size and time of a step's last real run; else that it failed or was cached."""
    if old is None:
        return "new"
    if old.state is StepState.FAILED:
        return "failed"
    size = docker_size(old.ended.size or 0) if old.has_layer and old.ended else ""
    took = "" if old.seconds is None else duration(old.seconds)
    return f"{size} {'cached' if old.state is StepState.CACHED else took}".strip()


def _instruction(row: _Row) -> Cell:
    return f" {one_line(row.step.instruction)}", "muted" if row.dimmed else "text"


class StepList(ColumnList[_Row], screen="build", heading="1 Steps"):
    """The steps of the Dockerfile; those that have not run are dimmed."""

    MARK_WIDTH = 3
    GAP = 1
    KEYS = (
        Key(
            "steps.look",
            "enter",
            "choose",
            "Look",
            "Go to its files or its log",
            hint="steps",
            label_now=lambda self: "Next stop" if self.touring else "Look",
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column("number", "#", 3, _number, "right", grow=True),
        Column(
            "state",
            "State",
            9,
            # A word and a mark for each state, never colour alone.
            lambda row: (row.step.state.value, _mark(row.step.state)[1]),
            from_width=60,
        ),
        Column("size", "Size", 7, _size, "right", kept=True),
        Column("took", "Took", 7, _seconds, "right"),
        Column(
            "before",
            "Before",
            17,
            lambda row: (row.before, "muted"),
            "right",
            from_width=110,
            optional=True,
        ),
        Column("instruction", " Instruction", 8, _instruction, flex=True),
    )

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__("steps", self.HEADING)
        self.follow = True  # Whether the cursor follows the running step, until the user moves it.
        self.reason = ""  # Why the build ended without an image, safe to show, or "".
        self.touring = False  # Whether a tour handles `enter`.
        self._clock = clock
        self._broken: StepKey | None = None

    @property
    def step(self) -> BuildStep | None:
        return None if self.item is None else self.item.step

    @property
    def why_no_layer(self) -> str:
        step = self.step
        if step is None or step.state is StepState.WAITING:
            return "This step has not started."
        if step.state is StepState.SKIPPED:
            return "This step did not run."
        if step.state is StepState.FAILED:
            return "This step failed, so it has no layer."
        if step.state is StepState.STOPPED:
            return self.reason or "This step was stopped, so it has no layer."
        if step.ended is None and step.state in (StepState.DONE, StepState.CACHED):
            # BuildKit creates an image only if all steps succeed.
            if self.reason:
                return "The build made no image. This step is in BuildKit's cache."
            return "BuildKit commits layers at the end of the build. The files appear then."
        if step.ended is None:
            return "This step is not committed yet."
        return "This step changes no files."

    def begin(self, state: BuildState) -> None:
        self.follow, self.reason = True, ""
        self.update_steps(state, None)

    def update_steps(self, state: BuildState, compared: Compared | None) -> None:
        """Updates the steps, with a comparison to earlier builds if any."""
        steps = state.all_steps
        before = {} if compared is None else compared.before
        broken = None if compared is None else compared.broken
        self._broken = None if broken is None else broken.key
        self.set_placeholder(
            (self.reason, "warning") if self.reason else ("Starting the build…", "muted")
        )
        cursor = self.cursor
        if self.follow and steps:
            latest = state.failed or state.running or state.stopped
            cursor = steps.index(latest) if latest else _last(steps)
            if latest is None and state.end is not None:
                # The line that the builder could not parse, or else that broke the cache.
                line = state.end.line
                wanted = (
                    row
                    for row, step in enumerate(steps)
                    if (step.line == line if line else step.key == self._broken)
                )
                cursor = next(wanted, cursor)
        moved = cursor != self.cursor
        rows = [
            _Row(step, _before(before.get(step.key)) if before else "", self._clock)
            for step in steps
        ]
        self.show(rows, cursor)
        if moved:
            self.post_message(self.Moved(self))
        total = max(state.total + len(state.triggers), len(steps))
        done = sum(step.state not in _NOT_DONE for step in steps)
        cached = sum(step.state is StepState.CACHED for step in steps)
        parts = [f"{done} of {plural(total, 'step')}"] if total else []
        parts += [f"{cached} cached"] if cached else []
        parts += [f"cache broke at {broken.label}"] if broken is not None else []
        self.set_status(SEPARATOR.join(parts))

    def mark(self, row: int) -> Cell:
        step = self.items[row].step
        mark, style = _mark(step.state)
        return (f"!{mark}", "warning") if step.key == self._broken else (f" {mark}", style)

    def tick(self) -> None:
        running = StepState.RUNNING
        self.redraw([n for n, row in enumerate(self.items) if row.step.state is running])


def _last(steps: Sequence[BuildStep]) -> int:
    """Returns the last step with files or a log, or else the last one that started."""
    rows = [row for row, step in enumerate(steps) if step.has_layer or step.log]
    begun = [row for row, step in enumerate(steps) if step.state not in _IDLE]
    return max(rows, default=max(begun, default=0))
