"""A build beside the one before it: where the cache broke and why, and time and size by step."""

from __future__ import annotations

import difflib
from contextlib import suppress
from dataclasses import dataclass

from layerscope.build.causes import Builds, why
from layerscope.build.inputs import NAME, Inputs, kept
from layerscope.build.state import BuildState, BuildStep, StepKey, StepState, step_label
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import Job, State

_MADE = (StepState.COMMITTED, StepState.DONE, StepState.CACHED)


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the cache broke.

    Attributes:
        step: Number of the first step that was run though the last build had run it.
        why: A sentence that says why.
        trigger: Number of the trigger of that step that it is and not the step itself, or 0.
    """

    step: int
    why: str
    trigger: int = 0

    @property
    def key(self) -> StepKey:
        """What the step is known by."""
        return self.step, self.trigger

    @property
    def label(self) -> str:
        """Its number as people get to see it."""
        return step_label(self.step, self.trigger)


@dataclass(frozen=True, slots=True)
class Compared:
    """A build beside the one before it.

    Attributes:
        job: The one before.
        before: For each step that it had too, by its key, that step.
        broken: Where the cache broke; None if it did not, or there was none to break.
    """

    job: Job
    before: dict[StepKey, BuildStep]
    broken: Broken | None


def previous(job: Job) -> Job | None:
    """The last build of the same Dockerfile, context and target before a job; None if none."""
    for other in all_jobs():
        same = other.kind == job.kind == "build" and all(
            other.spec.get(name) == job.spec.get(name)
            for name in ("dockerfile", "context", "target", "platform", "builder", "engine")
        )
        if same and int(other.id) < int(job.id) and other.state is not State.RUNNING:
            return other
    return None


class Comparison:
    """A build beside the one before it, to be asked again while it goes on."""

    def __init__(self, job: Job) -> None:
        """Looks for the build before it.

        Args:
            job: The build.
        """
        self._job = job
        self._other = previous(job)
        self._old: BuildState | None = None
        self._inputs: tuple[Inputs | None, Inputs | None] = (None, None)
        self._read: float | None = None
        if self._other is not None:
            old = BuildState(self._other.journal)
            with suppress(OSError):
                old.read()
                self._old = old

    def look(self, state: BuildState) -> Compared | None:
        """Compares the build, as far as it has come.

        Args:
            state: What its journal says.

        Returns:
            None if there was none before it.
        """
        other, old = self._other, self._old
        if other is None or old is None:
            return None
        before = _aligned(old, state)
        self._read_inputs(other)
        # What a build is made of is not known at its very beginning.
        told = self._inputs[1] is not None or state.end is not None
        broken = _broken((self._job, other), state, old, before, self._inputs) if told else None
        return Compared(other, before, broken)

    def _read_inputs(self, other: Job) -> None:
        """Reads what both were made of, where that has been written since."""
        try:
            written = (self._job.folder / NAME).stat().st_mtime
        except OSError:
            return
        if written != self._read:
            self._inputs = self._inputs[0] or kept(other.folder), kept(self._job.folder)
            self._read = written


def compare(job: Job, state: BuildState) -> Compared | None:
    """Compares a build with the one before it.

    Args:
        job: The build.
        state: What its journal says.

    Returns:
        None if there was none before it.
    """
    return Comparison(job).look(state)


def _aligned(old: BuildState, new: BuildState) -> dict[StepKey, BuildStep]:
    """The steps of the last build that are those of this one, by their keys."""
    olds, news = old.all_steps, new.all_steps
    matcher = difflib.SequenceMatcher(
        None, [s.instruction for s in olds], [s.instruction for s in news], autojunk=False
    )
    found = {}
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found[news[block.b + offset].key] = olds[block.a + offset]
    return found


def _broken(
    jobs: tuple[Job, Job],
    state: BuildState,
    old: BuildState,
    before: dict[StepKey, BuildStep],
    inputs: tuple[Inputs | None, Inputs | None],
) -> Broken | None:
    # FROM and ARG before it are never run, and never hits.
    ran = [
        step
        for step in state.all_steps
        if step.state in (*_MADE[:2], StepState.FAILED, StepState.RUNNING)
        # What BuildKit does not carry out, since it is configuration only, takes no time.
        and (step.seconds is not None or step.state is StepState.RUNNING)
        and step.instruction.split(None, 1)[:1] not in (["FROM"], ["ARG"])
    ]
    if not any(step.state in _MADE for step in old.all_steps):
        return None
    for step in ran:
        known = before.get(step.key)
        if known is None or known.state in _MADE:
            builds = Builds(state, old, before, *inputs)
            return Broken(step.number, why(builds, step, *jobs), step.trigger)
        if known.state is not StepState.SKIPPED or old.failed is not None:
            # Last time it did not come to an end, so there was nothing to hit.
            return None
    return None
