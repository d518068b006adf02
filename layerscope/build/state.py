"""A build as its journal tells it so far: what a screen shows, whoever builds and wherever.

The log is not held: for each of its lines, its place in the journal is, 8 bytes a line, so that a
build may print as much as the disk has room for.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from layerscope.build.events import BuildEvent, build_event
from layerscope.build.log_lines import LogLines

_PIECE = 1 << 18
#: A line of a log, as the journal begins it; of a step, or of none.
_LOG = re.compile(rb'\{"event":"log",(?:"step":(\d{1,9}),)?(?:"trigger":(\d{1,9}),)?"text":')


#: Number of a step, and of a trigger that is run for it or 0.
StepKey = tuple[int, int]


class StepState(Enum):
    """What became of a step."""

    #: In the plan, and not begun.
    WAITING = "waiting"
    RUNNING = "running"
    #: Over, and not an image yet: BuildKit makes these at the end.
    DONE = "done"
    COMMITTED = "committed"
    CACHED = "cached"
    FAILED = "failed"
    #: It ran when the build was stopped or failed elsewhere.
    STOPPED = "stopped"
    #: The build came to its end without it: another stage's, or behind the step that failed.
    SKIPPED = "not run"


@dataclass(slots=True)
class BuildStep:
    """A step.

    Attributes:
        number: Its number.
        trigger: 0 for an instruction of the Dockerfile; else its number among those that the base
            image of the FROM with that number has for who builds on it (ONBUILD).
        instruction: Its instruction.
        line: Its line in the Dockerfile.
        state: What became of it.
        begun: Unix time when it began.
        seconds: How long it took; None while it runs.
        ended: The event that told what it became, with the figures of its layer.
        log: For each line of its log, the byte offset of the event in the journal.
    """

    number: int
    instruction: str
    line: int | None
    state: StepState = StepState.RUNNING
    begun: float = 0.0
    seconds: float | None = None
    ended: BuildEvent | None = None
    log: array[int] = field(default_factory=lambda: array("Q"))
    trigger: int = 0

    @property
    def key(self) -> StepKey:
        """What it is known by."""
        return self.number, self.trigger

    @property
    def label(self) -> str:
        """Its number as people get to see it: `3`, and `3.1` for the first trigger of step 3."""
        return step_label(self.number, self.trigger)

    @property
    def has_layer(self) -> bool:
        """Whether it added a layer that is known."""
        return self.ended is not None and self.ended.diff_id is not None


def step_label(number: int, trigger: int | None) -> str:
    """The number of a step as people get to see it."""
    return f"{number}.{trigger}" if trigger else str(number)


class BuildState:
    """A build so far.

    Attributes:
        steps: The steps of the plan and those that have begun beside it, by number.
        triggers: What base images have for those that build on them, by the FROM's number and
            its own.
        total: How many there are in the Dockerfile; 0 while unknown.
        context: What is known of the build context.
        warnings: Warnings.
        log: Byte offsets of all lines of the log, those of no step included.
        log_lines: Reads lines of the log.
        end: The event that ended it; None while it runs.
        running: The step that began last and runs; None if none does.
    """

    def __init__(self, journal: Path) -> None:
        """Begins with nothing read.

        Args:
            journal: The journal of the job.
        """
        self.steps: dict[int, BuildStep] = {}
        self.triggers: dict[StepKey, BuildStep] = {}
        self.total = 0
        self.context: BuildEvent | None = None
        self.warnings: list[BuildEvent] = []
        self.log: array[int] = array("Q")
        self.end: BuildEvent | None = None
        self.log_lines = LogLines(journal)
        self._journal = journal
        self._offset = 0

    @property
    def all_steps(self) -> list[BuildStep]:
        """All steps in their order, triggers behind the FROM that they belong to."""
        return sorted([*self.steps.values(), *self.triggers.values()], key=lambda step: step.key)

    @property
    def running(self) -> BuildStep | None:
        """The step that began last of those that run."""
        running = [step for step in self.all_steps if step.state is StepState.RUNNING]
        return max(running, key=lambda step: (step.begun, step.key), default=None)

    @property
    def failed(self) -> BuildStep | None:
        """The step that failed."""
        for step in self.all_steps:
            if step.state is StepState.FAILED:
                return step
        return None

    @property
    def stopped(self) -> BuildStep | None:
        """The step that began last of those that ran when the build was stopped."""
        stopped = [step for step in self.all_steps if step.state is StepState.STOPPED]
        return max(stopped, key=lambda step: (step.begun, step.key), default=None)

    @property
    def last_image(self) -> str | None:
        """Id of the last image that was committed, for a look at what is there.

        A build that was stopped has taken away what it made, and names none at its end.
        """
        if self.end is not None and self.end.image is None:
            return None
        for step in reversed(self.all_steps):
            if step.ended is not None and step.ended.image:
                return step.ended.image
        return self.end.image if self.end is not None else None

    def read(self) -> bool:
        """Takes what the journal has got since.

        Returns:
            Whether there was anything.

        Raises:
            OSError: The journal cannot be read.
        """
        start = self._offset
        with self._journal.open("rb") as file:
            file.seek(self._offset)
            rest = b""
            while piece := file.read(_PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._take(line, self._offset)
                    self._offset += len(line) + 1
        return self._offset != start

    def printed_by(self, offset: int) -> str:
        """The label of the step that printed a line of the log; empty if none did.

        Args:
            offset: The byte offset of its event in the journal.
        """
        for step in (*self.steps.values(), *self.triggers.values()):
            if step.log and step.log[0] <= offset <= step.log[-1]:
                place = bisect_left(step.log, offset)
                if step.log[place] == offset:
                    return step.label
        return ""

    def lines(self, offsets: array[int], start: int, stop: int) -> Iterator[str]:
        """Lines of a log, as they were printed.

        Args:
            offsets: Those of a step, or of the whole build.
            start: The first line.
            stop: One past the last.
        """
        return self.log_lines.lines(offsets, start, stop)

    def stop(self) -> None:
        """Nothing more will come: what still seems to run does not."""
        for step in self.all_steps:
            if step.state is StepState.RUNNING:
                step.state = StepState.STOPPED
            elif step.state is StepState.WAITING:
                step.state = StepState.SKIPPED

    def _take(self, line: bytes, offset: int) -> None:
        log = _LOG.match(line)
        if log is not None:
            # A log may have a million lines, of which nothing else is looked at here.
            self.log.append(offset)
            known = self._step(int(log[1]), int(log[2] or 0)) if log[1] else None
            if known is not None:
                known.log.append(offset)
            return
        try:
            event = build_event(json.loads(line))
        except (ValueError, TypeError):
            return
        step = self._step(event.step, event.trigger or 0) if event.step is not None else None
        if event.event == "step_started" and event.step is not None:
            self.total = event.steps or self.total
            begun = BuildStep(
                event.step,
                event.instruction or "",
                event.line,
                begun=event.time or 0.0,
                trigger=event.trigger or 0,
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
        elif event.event in ("finished", "failed"):
            self.end = event
            self.stop()
        elif step is not None:
            self._end_step(step, event)

    def of_step(self, number: int) -> list[BuildStep]:
        """A step, and what is run for it before the next one."""
        triggers = [step for key, step in sorted(self.triggers.items()) if key[0] == number]
        return [self.steps[number], *triggers] if number in self.steps else triggers

    def _step(self, number: int, trigger: int) -> BuildStep | None:
        return self.triggers.get((number, trigger)) if trigger else self.steps.get(number)

    def _end_step(self, step: BuildStep, event: BuildEvent) -> None:
        if event.event == "step_done":
            cached = event.text == "cached"
            step.state = StepState.CACHED if cached else StepState.DONE
        else:
            step.state = _ENDS[event.event]
            step.ended = event
        step.seconds = event.seconds if event.seconds is not None else step.seconds


_ENDS = {
    "step_committed": StepState.COMMITTED,
    "step_cached": StepState.CACHED,
    "step_failed": StepState.FAILED,
}
