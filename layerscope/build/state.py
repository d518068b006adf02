"""The state of a build, from its journal, for screens.

The log is not kept in memory, only the offset of each line in the journal, 8 bytes per line, so a
build may print any amount.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from layerscope.bounded import Lines, open_regular
from layerscope.build.events import BuildEvent
from layerscope.build.log_lines import LogLines
from layerscope.build.request import BUILD
from layerscope.jobs.journal import LONGEST
from layerscope.text import COLORS, one_line

_CHUNK = 1 << 18
#: The beginning of a log line's event, with or without a step.
_LOG = re.compile(rb'\{"event":"log",(?:"step":(\d{1,9}),)?(?:"trigger":(\d{1,9}),)?"text":')

StepKey = tuple[int, int]  # Number of a step, and of its trigger, or 0.


class StepState(Enum):
    WAITING = "waiting"  # Not started.
    RUNNING = "running"
    DONE = "done"  # Ended, but not an image yet: BuildKit exports images at the end.
    COMMITTED = "committed"
    CACHED = "cached"
    FAILED = "failed"
    STOPPED = "stopped"  # It was running when the build was stopped or failed elsewhere.
    #: Not run by the end: in another stage, or after the failed step.
    SKIPPED = "not run"


@dataclass(slots=True)
class BuildStep:
    number: int
    instruction: str
    line: int | None
    state: StepState = StepState.RUNNING
    begun: float = 0.0  # Unix time when it started.
    seconds: float | None = None  # How long it took; None while it runs.
    ended: BuildEvent | None = None  # The event that ended it, with the figures of its layer.
    #: Byte offsets in the journal of the events of its log lines.
    log: array[int] = field(default_factory=lambda: array("Q"))
    #: 0 for an instruction of the Dockerfile; otherwise, its number among the ONBUILD triggers of
    #: the base image, with the FROM's as `number`.
    trigger: int = 0

    @property
    def key(self) -> StepKey:
        return self.number, self.trigger

    @property
    def label(self) -> str:
        return step_label(self.number, self.trigger)

    @property
    def has_begun(self) -> bool:
        return self.state not in (StepState.WAITING, StepState.SKIPPED)

    @property
    def has_layer(self) -> bool:
        return self.ended is not None and self.ended.diff_id is not None


def step_label(number: int, trigger: int) -> str:
    """Returns the number of a step on screen: `3`, or `3.1` for the first trigger of step 3."""
    return f"{number}.{trigger}" if trigger else str(number)


class BuildState:
    def __init__(self, journal: Path) -> None:
        #: The steps of the plan, and any others that have started, by number.
        self.steps: dict[int, BuildStep] = {}
        #: ONBUILD triggers of base images, by the FROM's number and their own.
        self.triggers: dict[StepKey, BuildStep] = {}
        self.total = 0  # Number of steps in the Dockerfile; 0 while unknown.
        self.context: BuildEvent | None = None
        self.warnings: list[BuildEvent] = []
        #: Byte offsets of all lines of the log and warnings, including those of no step.
        self.log: array[int] = array("Q")
        self.end: BuildEvent | None = None  # The event that ended the build; None while it runs.
        self.log_lines = LogLines(journal)
        self._journal = journal
        self._place = 0  # Bytes of the journal read so far.
        self._lines = Lines(LONGEST)

    @property
    def all_steps(self) -> list[BuildStep]:
        """All steps in order, triggers after their FROM."""
        return sorted([*self.steps.values(), *self.triggers.values()], key=lambda step: step.key)

    @property
    def running(self) -> BuildStep | None:
        return self._last_begun(StepState.RUNNING)

    @property
    def failed(self) -> BuildStep | None:
        return next((step for step in self.all_steps if step.state is StepState.FAILED), None)

    @property
    def stopped(self) -> BuildStep | None:
        """The last started of the steps that were running when the build was stopped."""
        return self._last_begun(StepState.STOPPED)

    def _last_begun(self, state: StepState) -> BuildStep | None:
        found = [step for step in self.all_steps if step.state is state]
        return max(found, key=lambda step: (step.begun, step.key), default=None)

    @property
    def latest(self) -> BuildStep | None:
        """The step that failed, is running or was stopped, or else began last."""
        begun = [step for step in self.all_steps if step.has_begun]
        return self.failed or self.running or self.stopped or (begun[-1] if begun else None)

    @property
    def failed_between_steps(self) -> bool:
        """Whether the build failed without a failed step: before the first or after the last."""
        ended = self.end is not None and self.end.event == "failed"
        return ended and self.failed is None and self.stopped is None

    @property
    def last_image(self) -> str | None:
        """Id of the last committed image; None for a stopped build, whose images are gone."""
        if self.end is not None and self.end.image is None:
            return None
        for step in reversed(self.all_steps):
            if step.ended is not None and step.ended.image:
                return step.ended.image
        return self.end.image if self.end is not None else None

    def read(self) -> bool:
        """Reads new events; returns whether there were any. Raises OSError."""
        start = self._lines.offset
        with os.fdopen(open_regular(self._journal), "rb") as file:
            file.seek(self._place)
            while piece := file.read(_CHUNK):
                self._place += len(piece)
                for line in self._lines.feed(piece):
                    self._take(line, self._lines.offset)
        return self._lines.offset != start

    def printed_by(self, offset: int) -> str:
        """Returns the label of the step that printed the log line at an offset, or ""."""
        for step in (*self.steps.values(), *self.triggers.values()):
            place = bisect_left(step.log, offset)
            if place < len(step.log) and step.log[place] == offset:
                return step.label
        return ""

    def why_failed(self, step: BuildStep) -> str:
        """Returns the last line that a failed step printed, which is more specific."""
        last = len(step.log)
        lines = self.log_lines.lines(step.log, max(0, last - 9), last)
        printed = [one_line(COLORS.sub("", text)) for text in lines]
        said = one_line(step.ended.text or "") if step.ended is not None else ""
        return next((text for text in reversed(printed) if text), said)

    def stop(self) -> None:
        for step in self.all_steps:
            if step.state is StepState.RUNNING:
                step.state = StepState.STOPPED
            elif step.state is StepState.WAITING:
                step.state = StepState.SKIPPED

    def _take(self, line: bytes, offset: int) -> None:
        log = _LOG.match(line)
        if log is not None:
            # Not parsed: a log may have a million lines.
            self.log.append(offset)
            known = self._step((int(log[1] or 0), int(log[2] or 0)))
            if known is not None:
                known.log.append(offset)
            return
        event = BUILD.parse_event(line)
        if event is None:
            return
        step = self._step(event.key)
        if event.event == "step_started" and event.step is not None:
            self.total = event.steps or self.total
            begun = BuildStep(
                event.step,
                event.instruction or "",
                event.line,
                begun=event.time or 0.0,
                trigger=event.trigger,
            )
            if event.trigger:
                self.triggers[begun.key] = begun
            else:
                self.steps[event.step] = begun
        elif event.event == "plan":
            self.total = event.steps or self.total
            for number, at, text in event.plan or ():
                self.steps[number] = BuildStep(number, text, at, StepState.WAITING)
        elif event.event == "log":
            self.log.append(offset)
            if step is not None:
                step.log.append(offset)
        elif event.event == "context":
            self.context = event
        elif event.event == "warning":
            self.warnings.append(event)
            self.log.append(offset)
            # BuildKit names a line instead of a step.
            at_line = (each for each in self.all_steps if event.line and each.line == event.line)
            if (warned := step or next(at_line, None)) is not None:
                warned.log.append(offset)
        elif event.event in ("finished", "failed"):
            self.end = event
            self.stop()
        elif step is not None:
            self._end_step(step, event)

    def of_step(self, number: int) -> list[BuildStep]:
        """Returns a step and its triggers."""
        triggers = [step for key, step in sorted(self.triggers.items()) if key[0] == number]
        return [self.steps[number], *triggers] if number in self.steps else triggers

    def _step(self, key: StepKey) -> BuildStep | None:
        return self.triggers.get(key) if key[1] else self.steps.get(key[0])

    def _end_step(self, step: BuildStep, event: BuildEvent) -> None:
        if event.event == "step_done":
            step.state = StepState.CACHED if event.text == "cached" else StepState.DONE
        else:
            step.state = _ENDS[event.event]
            step.ended = event
        step.seconds = event.seconds if event.seconds is not None else step.seconds


_ENDS = {
    "step_committed": StepState.COMMITTED,
    "step_cached": StepState.CACHED,
    "step_failed": StepState.FAILED,
}
