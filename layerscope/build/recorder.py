"""Turns what a builder says into events, and measures layers while the next step runs already."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from layerscope.build.events import BuildEvent
from layerscope.build.plan import Plan
from layerscope.build.secrets import Mask
from layerscope.errors import LayerscopeError
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.text import COLORS, docker_size

if TYPE_CHECKING:
    from layerscope.build.layer_facts import LayerFacts

#: A line of a log that is longer comes in pieces.
LONGEST_LINE = 1 << 16

#: Seconds that a builder has to begin before what measures is imported.
_HEAD_START = 0.5

#: Bytes that the logs of a build may take together in its journal, which some command that asks and
#: asks again would fill a disk with. Of what comes then, each step's last lines are kept.
LONGEST_LOG = 256_000_000
LAST_LINES = 200
#: Bytes that a line takes besides its text.
_LINE = 80

#: Of a build's time, the share that exports for the sake of figures may take while it runs.
_SHARE = 0.05

#: Seconds that a layer which is being measured is waited for once the build is to stop.
_PATIENCE = 2.0
#: Seconds between two looks whether it is done.
_LOOK = 0.1

Emit = Callable[[Mapping[str, Any]], None]


class Images(Protocol):
    """The images of a build's steps."""

    def height(self, image: str) -> int:
        """How many layers an image has.

        Raises:
            LayerscopeError: That cannot be told.
        """

    def open(self, image: str) -> ImageReader:
        """Opens an image by its id.

        Raises:
            LayerscopeError: That is not possible.
        """


@dataclass(frozen=True, slots=True)
class _Committed:
    event: BuildEvent
    base: bool


class Recorder:
    """Writes the events of a build.

    Attributes:
        last_image: The image that was committed last, which is the last good one of a failed build.
        failed: Whether a step has failed.
        mask: Hides the values of the build's secrets in whatever is written.
        totals: Bytes of all layers of the image that was looked at last, and those of them that
            can never be read; None if none was.
    """

    def __init__(self, emit: Emit, images: Images) -> None:
        """Begins.

        Args:
            emit: Takes events, from any thread.
            images: Where the images of steps are looked at; used by one thread only.
        """
        self.last_image: str | None = None
        self.failed = False
        self.mask = Mask()
        self.totals: tuple[int, int] | None = None
        self._emit = emit
        self._images = images
        self._begun = time.monotonic()
        self._started: dict[tuple[int, int], float] = {}
        self._rests: dict[tuple[int | None, int], str] = {}
        self._logged = 0.0
        self._last: dict[tuple[int | None, int], deque[str]] = {}
        self._queue: queue.SimpleQueue[_Committed | None] = queue.SimpleQueue()
        self._spent = 0.0
        self._exports = False
        self._progress = Progress()
        self._hurried = False
        self._until = math.inf
        self._known = 0
        self._thread = threading.Thread(
            target=self._measure_all, name="layerscope-layers", daemon=True
        )
        self._thread.start()

    def plan(self, plan: Plan) -> None:
        """The steps are known, before any of them begins."""
        steps = tuple((step.number, step.line, step.text) for step in plan.steps)
        # A FROM has no layer, but for what its base has for those that build on it.
        begin = () if plan.begin is None else (plan.begin,)
        chain = tuple(dict.fromkeys(step.number for step in (*begin, *plan.chain)))
        self._tell(BuildEvent("plan", steps=len(steps), plan=steps, chain=chain))

    def hurry(self) -> None:
        """Nobody waits for figures any more: layers that are not measured yet are told without."""
        self._until = time.monotonic() + _PATIENCE
        self._hurried = True
        self._progress.cancel()

    def context(
        self, size: int, files: int, largest: Sequence[tuple[str, int]], ignored: int = 0
    ) -> None:
        """The build context is known."""
        told = tuple(largest)
        self._tell(BuildEvent("context", size=size, files=files, ignored=ignored, largest=told))

    def step_started(
        self, step: int, steps: int, instruction: str, line: int | None = None, trigger: int = 0
    ) -> None:
        """A step begins."""
        self._started[step, trigger] = time.monotonic()
        event = BuildEvent("step_started", step, steps, trigger or None, instruction, line)
        self._tell(event)

    def log(self, step: int | None, text: str, trigger: int = 0) -> None:
        """A piece of a step's log; events are whole lines."""
        key = step, trigger
        *lines, rest = (self._rests.get(key, "") + text).split("\n")
        while len(rest) > LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rests[key] = rest
        for line in lines:
            self._log(step, line.removesuffix("\r"), trigger)

    def end_log(self, step: int | None, trigger: int = 0) -> None:
        """The log of a step is over."""
        rest = self._rests.pop((step, trigger), "")
        # What only ends a colour is no line.
        if COLORS.sub("", rest):
            self._log(step, rest, trigger)
        for line in self._last.pop((step, trigger), ()):
            self._tell(BuildEvent("log", step, trigger=trigger or None, text=line))

    def _log(self, step: int | None, line: str, trigger: int) -> None:
        if self._logged <= LONGEST_LOG:
            self._logged += len(line) + _LINE
            self._tell(BuildEvent("log", step, trigger=trigger or None, text=line))
            return
        if self._logged < math.inf:
            self._logged = math.inf
            size = docker_size(LONGEST_LOG)
            text = f"The log takes {size}; from here on, only the last lines of a step are kept."
            self.warning(text, step)
        self._last.setdefault((step, trigger), deque(maxlen=LAST_LINES)).append(line)

    def committed(
        self,
        step: int,
        image: str | None,
        *,
        cached: bool = False,
        base: bool = False,
        trigger: int = 0,
        took: float | None = None,
    ) -> None:
        """A step has become an image.

        Args:
            step: Its number.
            image: Id of the image; None for `scratch`.
            cached: Whether it was one already.
            base: Whether the step begins a stage, and adds no layer of its own.
            trigger: Number of the trigger that is meant and not the step itself.
            took: Seconds that it took, if `done` has told of it before; else it is done now.
        """
        self.end_log(step, trigger)
        self.last_image = image or self.last_image
        event = BuildEvent(
            "step_cached" if cached else "step_committed",
            step,
            trigger=trigger or None,
            image=image,
            seconds=self.seconds(step, trigger) if took is None else took,
        )
        if took is None:
            self.done(step, event.seconds, cached, trigger)
        self._queue.put(_Committed(event, base))

    def done(self, step: int, seconds: float | None, cached: bool, trigger: int = 0) -> None:
        """A step is over, and becomes a layer later, when the image is made."""
        text = "cached" if cached else None
        self._tell(
            BuildEvent("step_done", step, trigger=trigger or None, seconds=seconds, text=text)
        )

    def told(self, event: BuildEvent) -> None:
        """An event that a builder has made itself; it comes behind those that wait."""
        self.drain()
        self._tell(event)

    def step_failed(
        self, step: int, text: str, exit_code: int | None = None, trigger: int = 0
    ) -> None:
        """A step has failed."""
        self.failed = True
        self.end_log(step, trigger)
        self.drain()
        self._tell(
            BuildEvent(
                "step_failed",
                step,
                trigger=trigger or None,
                text=text,
                exit_code=exit_code,
                seconds=self.seconds(step, trigger),
            )
        )

    def warning(self, text: str, step: int | None = None, line: int | None = None) -> None:
        """Something to take note of."""
        self._tell(BuildEvent("warning", step, line=line, text=text))

    def finished(self, image: str, tags: Sequence[str]) -> None:
        """The build has made an image."""
        self.drain()
        if self.totals is None and not self._thread.is_alive():
            # No step has made a layer: its size is that of what it was built on.
            with suppress(LayerscopeError):
                self._facts(image, self._images.height(image))
        size, wasted = self.totals or (None, None)
        self._tell(
            BuildEvent(
                "finished",
                image=image,
                tags=tuple(tags),
                size=size,
                wasted=wasted,
                seconds=self.elapsed,
            )
        )

    def failed_with(self, text: str) -> None:
        """The build has made nothing."""
        for step, trigger in tuple(self._last):
            self.end_log(step, trigger)
        self.drain()
        self._tell(BuildEvent("failed", text=text, image=self.last_image, seconds=self.elapsed))

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return round(time.monotonic() - self._begun, 3)

    def seconds(self, step: int, trigger: int = 0) -> float | None:
        """Seconds since a step began."""
        started = self._started.get((step, trigger))
        return None if started is None else round(time.monotonic() - started, 3)

    def drain(self) -> None:
        """Waits until all layers so far are measured and told; nothing can be committed after."""
        if self._thread.is_alive():
            self._queue.put(None)
            # One that hangs at an engine holds up nobody who wants to stop.
            while self._thread.is_alive() and time.monotonic() < self._until:
                self._thread.join(_LOOK)

    def _tell(self, event: BuildEvent) -> None:
        text = None if event.text is None else self.mask.hide(event.text)
        self._emit(replace(event, text=text, time=round(time.time(), 3)).document())

    # The thread that measures.

    def _measure_all(self) -> None:
        # A journal that takes nothing more stops the job by itself.
        with suppress(OSError):
            self._measure()

    def _measure(self) -> None:
        ended = False
        batch: list[_Committed | None] = []
        with suppress(queue.Empty):
            batch.append(self._queue.get(timeout=_HEAD_START))
        # What measures takes a while to be imported, which no step need wait for: it is done while
        # the builder is at work, and not while that is being started.
        import layerscope.build.layer_facts
        import layerscope.engines.resolve  # noqa: F401

        waiting = not batch
        while not ended:
            if waiting:
                batch.append(self._queue.get())
            waiting = True
            while not self._queue.empty():
                batch.append(self._queue.get())
            ended = None in batch
            if self._exports and not ended and self._spent > _SHARE * self.elapsed:
                # An export takes from the build what it needs itself: the next one has more in it.
                continue
            stage: list[_Committed] = []
            for item in batch:
                # A base begins a stage, whose images have nothing to do with those before.
                if item is None or item.base:
                    self._tell_stage(stage)
                    stage = []
                if item is not None:
                    stage.append(item)
            self._tell_stage(stage)
            batch = []

    def _tell_stage(self, stage: list[_Committed]) -> None:
        """Tells steps of one stage, whose images grow out of each other, with what they added."""
        if not stage:
            return
        heights: list[int | None] = []
        known = self._known
        facts: dict[int, LayerFacts] = {}
        try:
            for item in stage:
                heights.append(top := self._height(item.event.image))
                if item.base:
                    known, self.totals = top, None
            if top > known:
                facts = self._facts(stage[-1].event.image or "", known)
        except LayerscopeError:
            # The step is committed all the same; only the figures are missing.
            heights += [None] * (len(stage) - len(heights))
        below = self._known
        for item, height in zip(stage, heights, strict=True):
            event = item.event
            if height is not None:
                if not item.base and height > below:
                    event = with_facts(event, facts.get(height - 1))
                below = height
            self._tell(event)
        self._known = below

    def _height(self, image: str | None) -> int:
        return 0 if image is None else self._images.height(image)

    def _facts(self, image: str, first: int) -> dict[int, LayerFacts]:
        from layerscope.build.layer_facts import layer_facts

        if self._hurried:
            return {}
        with closing(self._images.open(image)) as reader:
            self._exports = reader.way.endswith("export")
            begun = time.monotonic()
            facts, self.totals = layer_facts(reader, first, self._progress)
            self._spent += time.monotonic() - begun
            return facts


def with_facts(event: BuildEvent, facts: LayerFacts | None) -> BuildEvent:
    """An event with the figures of a layer; the event itself if there are none."""
    if facts is None:
        return event
    return replace(
        event,
        diff_id=facts.diff_id,
        size=facts.size,
        added=facts.added,
        modified=facts.modified,
        removed=facts.removed,
        wasted=facts.wasted,
        copied=facts.copied or None,
        hidden=facts.hidden or None,
    )
