"""A build as text: a heading for each step, its log, its layer, and a summary at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from layerscope.build.events import BuildEvent
from layerscope.build.state import StepKey, StepState, step_label
from layerscope.text import COLORS, clip, docker_size, duration, one_line, plural, short_id, visible

#: Instructions that are executed. The others only change the configuration or begin a stage; their
#: end is not shown.
_EXECUTED = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
_LARGEST = 3  # Layers in the summary.
_INSTRUCTION = 60  # Characters of an instruction in the summary.


def plain_log(text: str) -> str:
    """A line of a log as a terminal would finally show it, without colors, and safe."""
    # Progress bars overwrite themselves: only the last part stays.
    return visible(COLORS.sub("", text.rstrip("\r").rpartition("\r")[2]).replace("\t", "        "))


class BuildText:
    """The lines for each event of a build.

    The clock returns the Unix time, for the duration of running steps.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
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
        step = event.key
        if event.event in ("step_done", "step_cached", "step_committed", "step_failed"):
            self._begun.pop(step, None)
        if event.event == "plan":
            self._steps = event.steps or self._steps
            self._chain = None if event.chain is None else frozenset(event.chain)
        elif event.event == "context" and event.files is not None:
            self._context = True
            files = plural(event.files, "file")
            rules = visible(event.text or ".dockerignore")
            left = f"; {rules} leaves out {event.ignored}" if event.ignored else ""
            yield f"Build context: {docker_size(event.size or 0)} in {files}{left}"
            for path, size in event.largest or ():
                yield f"  {docker_size(size):>7}  {visible(path)}"
        elif event.event == "step_started":
            self._steps = max(event.steps or 0, self._steps)
            self._instructions[step] = one_line(event.instruction or "")
            self._begun[step] = event.time or self._clock()
            yield f"{self._number(step)} {self._instructions[step]}"
        elif event.event == "log":
            number = step_label(*step) if event.step is not None else ""
            yield f"{number:>{len(str(self._steps)) + 1}} | {plain_log(event.text or '')}".rstrip()
        elif event.event == "warning":
            place = f"line {event.line}: " if event.line else ""
            yield f"Warning: {place}{one_line(event.text or '')}"
        elif event.event in ("step_cached", "step_committed"):
            self._ended[step] = event
            if event.diff_id is not None or not self._is_silent(step):
                yield f"{self._number(step)} {_outcome(event)}"
        elif event.event == "step_failed":
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
        """The reason for the failure, without the lines already shown."""
        text = one_line(event.text or "The build failed.")
        failed = self._failed
        if failed is not None and failed.step is not None and (failed.text or "") in text:
            number = step_label(*failed.key)
            return f"The build failed at step {number} of {self._steps}{_after(event)}."
        return text

    def status(self) -> str:
        """The running steps on one line, or an empty string."""
        if self._over:
            return ""
        if not self._begun:
            if self._ended or self._instructions:
                return "Reading layers…" if self._ended else ""
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
        shown = [end for step, end in self._ended.items() if not self._is_silent(step)]
        cached = sum(end.event == "step_cached" for end in shown)
        yield f"Steps    {len(shown) - cached} run, {cached} cached"
        layers = [
            (end.size, step)
            for step, end in self._ended.items()
            if end.size and (self._chain is None or step[0] in self._chain)
        ]
        label = "Largest"
        for size, step in sorted(layers, key=lambda layer: (-layer[0], layer[1]))[:_LARGEST]:
            text = clip(self._instructions.get(step, ""), _INSTRUCTION)
            yield f"{label:<9}{docker_size(size):>7}  {self._number(step)} {text}"
            label = ""

    def _is_silent(self, step: StepKey) -> bool:
        words = self._instructions.get(step, "").upper().split(None, 2)
        return bool(words) and words[step[1] > 0] not in _EXECUTED

    def _number(self, step: StepKey) -> str:
        return f"[{step_label(*step):>{len(str(self._steps))}}/{self._steps}]"


def _outcome(event: BuildEvent) -> str:
    state = StepState.CACHED if event.event == "step_cached" else StepState.COMMITTED
    cached = event.seconds is None or state is StepState.CACHED
    took = "" if cached else f"{event.seconds:.1f}s"
    parts = [f"{state.value:<9} {took:>7}"]
    if event.diff_id is not None:
        counts = event.changes
        if event.wasted:
            counts.append(f"{docker_size(event.wasted)} of layers below wasted")
        parts.append(f"{docker_size(event.size or 0):>7}")
        parts.append(", ".join(counts or ["no changes"]))
    return "  ".join(parts).rstrip()


def _after(event: BuildEvent) -> str:
    return "" if event.seconds is None else f" after {duration(event.seconds)}"
