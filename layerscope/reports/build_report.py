"""A build, told for people: a heading for each step, its log, what it became, and a summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from layerscope.build.events import BuildEvent
from layerscope.build.state import StepKey, step_label
from layerscope.text import COLORS, docker_size, one_line, short_id, visible

#: Instructions that are carried out. The others change the configuration only, or begin a stage:
#: there is nothing to tell of how they ended.
_TOLD = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
#: How many of the largest layers the summary has.
_LARGEST = 3
#: Cells for an instruction in the summary.
_INSTRUCTION = 60


def plain_log(text: str) -> str:
    """A line of a log as it would be left on a terminal, without colours, and safe to show."""
    # Progress bars draw over themselves: what was drawn last counts.
    last = text.rstrip("\r").rpartition("\r")[2]
    return visible(COLORS.sub("", last).replace("\t", "        "))


class BuildText:
    """Makes lines of the events of a build."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begins.

        Args:
            clock: Tells the Unix time, by which steps that run are measured.
        """
        self._clock = clock
        self._steps = 0
        self._instructions: dict[StepKey, str] = {}
        self._begun: dict[StepKey, float] = {}
        self._ended: dict[StepKey, BuildEvent] = {}
        self._failed: BuildEvent | None = None
        self._chain: frozenset[int] | None = None
        self._context = False
        self._over = False

    def lines(self, event: BuildEvent) -> Iterator[str]:
        """The lines of an event."""
        step = event.step or 0, event.trigger or 0
        if event.event == "plan":
            self._steps = event.steps or self._steps
            self._chain = None if event.chain is None else frozenset(event.chain)
        elif event.event == "context" and event.files is not None:
            self._context = True
            files = f"{event.files} files" if event.files != 1 else "1 file"
            left = f"; .dockerignore leaves out {event.ignored}" if event.ignored else ""
            yield f"Build context: {docker_size(event.size or 0)} in {files}{left}"
            for path, size in event.largest or ():
                yield f"  {docker_size(size):>7}  {visible(path)}"
        elif event.event == "step_started":
            self._steps = max(event.steps or 0, self._steps)
            self._instructions[step] = one_line(event.instruction or "")
            self._begun[step] = event.time or self._clock()
            yield f"{self._number(step)} {self._instructions[step]}"
        elif event.event == "step_done":
            self._begun.pop(step, None)
        elif event.event == "log":
            number = step_label(*step) if event.step is not None else ""
            yield f"{number:>{len(str(self._steps)) + 1}} | {plain_log(event.text or '')}".rstrip()
        elif event.event == "warning":
            place = f"line {event.line}: " if event.line else ""
            yield f"Warning: {place}{one_line(event.text or '')}"
        elif event.event in ("step_cached", "step_committed"):
            self._begun.pop(step, None)
            self._ended[step] = event
            if event.diff_id is not None or not self._is_silent(step):
                yield f"{self._number(step)} {_outcome(event)}"
        elif event.event == "step_failed":
            self._begun.pop(step, None)
            self._failed = event
            code = "" if event.exit_code is None else f" with exit code {event.exit_code}"
            text = f"failed{code}{_after(event)}: {one_line(event.text or '')}"
            yield f"{self._number(step)} {text}"
        elif event.event == "finished":
            self._over = True
            yield from self._summary(event)
        elif event.event == "failed":
            self._over = True
            if event.image:
                yield f"The last good layer is in {short_id(event.image)}."

    def failure(self, event: BuildEvent) -> str:
        """The sentence that tells how it failed; what its lines have told of it is not repeated."""
        text = one_line(event.text or "The build failed.")
        failed = self._failed
        if failed is not None and failed.step is not None and (failed.text or "") in text:
            number = step_label(failed.step, failed.trigger)
            return f"The build failed at step {number} of {self._steps}{_after(event)}."
        return text

    def status(self) -> str:
        """What goes on now, on one line; empty if nothing does."""
        if self._over:
            return ""
        if not self._begun:
            if self._ended or self._instructions:
                return "Looking at layers…" if self._ended else ""
            return "Sending the build context…" if self._context else "Reading the build context…"
        number, begun = max(self._begun.items(), key=lambda item: item[1])
        more = f" and {len(self._begun) - 1} more" if len(self._begun) > 1 else ""
        seconds = max(0, int(self._clock() - begun))
        return f"{self._number(number)}{more} {seconds}s {self._instructions.get(number, '')}"

    def _summary(self, event: BuildEvent) -> Iterator[str]:
        names = f" ({', '.join(visible(tag) for tag in event.tags)})" if event.tags else ""
        yield ""
        yield f"Built    {short_id(event.image or '')}{names}{_after(event)}"
        if event.size is not None:
            wasted = f", of which {docker_size(event.wasted)} wasted" if event.wasted else ""
            yield f"Size     {docker_size(event.size)}{wasted}"
        told = [(step, end) for step, end in self._ended.items() if not self._is_silent(step)]
        cached = sum(end.event == "step_cached" for _, end in told)
        yield f"Steps    {len(told) - cached} run, {cached} cached"
        layers = [
            (end.size, step)
            for step, end in self._ended.items()
            if end.size and (self._chain is None or step[0] in self._chain)
        ]
        label = "Largest"
        for size, step in sorted(layers, key=lambda layer: (-layer[0], layer[1]))[:_LARGEST]:
            text = self._instructions.get(step, "")
            text = text if len(text) <= _INSTRUCTION else f"{text[: _INSTRUCTION - 1]}…"
            yield f"{label:<9}{docker_size(size):>7}  {self._number(step)} {text}"
            label = ""

    def _is_silent(self, step: StepKey) -> bool:
        words = self._instructions.get(step, "").upper().split(None, 2)
        return bool(words) and words[step[1] > 0] not in _TOLD

    def _number(self, step: StepKey) -> str:
        return f"[{step_label(*step):>{len(str(self._steps))}}/{self._steps}]"


def _outcome(event: BuildEvent) -> str:
    word = "cached" if event.event == "step_cached" else "committed"
    took = "" if event.seconds is None or word == "cached" else f"{event.seconds:.1f}s"
    parts = [f"{word:<9} {took:>7}"]
    if event.diff_id is not None:
        counts = event.changes
        if event.wasted:
            counts.append(f"{docker_size(event.wasted)} of layers below wasted")
        parts.append(f"{docker_size(event.size or 0):>7}")
        parts.append(", ".join(counts or ["no changes"]))
    return "  ".join(parts).rstrip()


def _after(event: BuildEvent) -> str:
    return "" if event.seconds is None else f" after {event.seconds:.1f}s"
