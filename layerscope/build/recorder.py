"""Writes the events of a build, and measures its layers while later steps run."""

from __future__ import annotations

import math
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import NamedTuple, Protocol

from layerscope.build.events import BuildEvent, Kind, LayerFacts
from layerscope.build.plan import Plan
from layerscope.build.secrets import Mask
from layerscope.errors import LayerscopeError
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.jobs.journal import Write
from layerscope.records import replace
from layerscope.text import COLORS, docker_size

LONGEST_LINE = 1 << 16  # Longer lines of a log are split.
_HEAD_START = 0.5  # Seconds for the builder before numpy is imported for measuring.

#: The most bytes of log in a journal, since a command that prompts in a loop would fill the disk.
#: After that, only the last lines of each step are kept.
LONGEST_LOG = 256_000_000
LAST_LINES = 200
_LINE = 80  # Bytes that a line takes in addition to its text.
#: The faulty line of the Dockerfile in errors of builders and in `Unsupported.sentence`.
_NAMED_LINE = re.compile(r"(?:\bparse error(?: on)? line |^Line )(\d{1,9}):")
_SHARE = 0.05  # The largest share of a build's time for exports to measure layers.
_PATIENCE = 2.0  # Seconds for a cancelled build to wait for the measuring of a layer.
_PERIOD = 0.1  # Seconds between checks whether it is done.


class Images(Protocol):
    def height(self, image: str) -> int:
        """Returns the number of layers of an image; raises LayerscopeError if unknown."""

    def open(self, image: str) -> ImageReader:
        """Opens an image by id; raises LayerscopeError."""


class _Committed(NamedTuple):
    event: BuildEvent
    base: bool


class Recorder:
    def __init__(self, emit: Write, images: Images) -> None:
        """Starts the thread that measures layers.

        Calls `emit` with events in any thread; uses `images` in one thread only.
        """
        self.last_image: str | None = None  # The last committed image.
        self.failed = False  # Whether a step has failed.
        self.mask = Mask()  # Hides the values of the build's secrets in all texts.
        #: Bytes of all layers of the last measured image, and the wasted ones; None before.
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
        steps = tuple((step.number, step.line, step.text) for step in plan.steps)
        # A FROM adds layers only by ONBUILD triggers of its base.
        begin = () if plan.begin is None else (plan.begin,)
        chain = tuple(dict.fromkeys(step.number for step in (*begin, *plan.chain)))
        self._write(BuildEvent("plan", steps=len(steps), plan=steps, chain=chain))

    def hurry(self) -> None:
        """Stops measuring: reports the remaining layers without figures."""
        self._until = time.monotonic() + _PATIENCE
        self._hurried = True
        self._progress.cancel()

    def context(
        self,
        size: int,
        files: int,
        largest: Sequence[tuple[str, int]],
        ignored: int = 0,
        rules: str | None = None,
    ) -> None:
        event = BuildEvent("context", size=size, files=files, ignored=ignored, text=rules)
        self._write(replace(event, largest=tuple(largest)))

    def step_started(
        self, step: int, steps: int, instruction: str, line: int | None = None, trigger: int = 0
    ) -> None:
        self._started[step, trigger] = time.monotonic()
        self._write(BuildEvent("step_started", step, steps, trigger, instruction, line))

    def log(self, step: int | None, text: str, trigger: int = 0) -> None:
        """Adds text to a step's log, and writes complete lines."""
        key = step, trigger
        *lines, rest = (self._rests.get(key, "") + text).split("\n")
        for line in lines:
            for piece in _pieces(line.removesuffix("\r")):
                self._log(step, piece, trigger)
        *full, self._rests[key] = _pieces(rest)
        for piece in full:
            self._log(step, piece, trigger)

    def end_log(self, step: int | None, trigger: int = 0) -> None:
        rest = self._rests.pop((step, trigger), "")
        # Ignores a rest that only ends a colour.
        if COLORS.sub("", rest):
            self._log(step, rest, trigger)
        for line in self._last.pop((step, trigger), ()):
            self._write(BuildEvent("log", step, trigger=trigger, text=line))

    def _log(self, step: int | None, line: str, trigger: int) -> None:
        if self._logged <= LONGEST_LOG:
            self._logged += len(line) + _LINE
            self._write(BuildEvent("log", step, trigger=trigger, text=line))
            return
        if self._logged < math.inf:
            self._logged = math.inf
            size = docker_size(LONGEST_LOG)
            text = (
                f"The log has reached {size}: from now on, only the last lines of a step are kept."
            )
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
        """Records that a step was committed to an image, or None for `scratch`.

        A `base` begins a stage, and adds no layer. `took` is its seconds, if `done` was called
        before.
        """
        self.end_log(step, trigger)
        self.last_image = image or self.last_image
        seconds = self.seconds(step, trigger) if took is None else took
        kind: Kind = "step_cached" if cached else "step_committed"
        event = BuildEvent(kind, step, trigger=trigger, image=image, seconds=seconds)
        if took is None:
            self.done(step, seconds, cached, trigger)
        self._queue.put(_Committed(event, base))

    def done(self, step: int, seconds: float | None, cached: bool, trigger: int = 0) -> None:
        """Records the end of a step, which becomes a layer later, when the image is exported."""
        text = "cached" if cached else None
        self._write(BuildEvent("step_done", step, trigger=trigger, seconds=seconds, text=text))

    def write(self, event: BuildEvent) -> None:
        self.drain()
        self._write(event)

    def step_failed(
        self, step: int, text: str, exit_code: int | None = None, trigger: int = 0
    ) -> None:
        self.failed = True
        self.end_log(step, trigger)
        self.drain()
        event = BuildEvent("step_failed", step, trigger=trigger, text=text, exit_code=exit_code)
        self._write(replace(event, seconds=self.seconds(step, trigger)))

    def warning(self, text: str, step: int | None = None, line: int | None = None) -> None:
        self._write(BuildEvent("warning", step, line=line, text=text))

    def finished(self, image: str, tags: Sequence[str]) -> None:
        self.drain()
        if self.totals is None and not self._thread.is_alive():
            # No step has added a layer: the size is the base image's.
            with suppress(LayerscopeError):
                self._facts(image, self._images.height(image))
        size, wasted = self.totals or (None, None)
        event = BuildEvent("finished", image=image, tags=tuple(tags), size=size, wasted=wasted)
        self._write(replace(event, seconds=self.elapsed))

    def failed_with(self, text: str) -> None:
        for step, trigger in tuple(self._last):
            self.end_log(step, trigger)
        self.drain()
        named = None if self.failed else _NAMED_LINE.search(text)
        event = BuildEvent("failed", line=int(named[1]) if named else None, text=text)
        self._write(replace(event, image=self.last_image, seconds=self.elapsed))

    @property
    def elapsed(self) -> float:
        return round(time.monotonic() - self._begun, 3)

    def seconds(self, step: int, trigger: int = 0) -> float | None:
        started = self._started.get((step, trigger))
        return None if started is None else round(time.monotonic() - started, 3)

    def drain(self) -> None:
        """Waits until all layers are measured and reported; no step may be committed after."""
        if self._thread.is_alive():
            self._queue.put(None)
            # The thread may be waiting for an engine that does not answer.
            while self._thread.is_alive() and time.monotonic() < self._until:
                self._thread.join(_PERIOD)

    def _write(self, event: BuildEvent) -> None:
        text = None if event.text is None else self.mask.hide(event.text)
        self._emit(replace(event, text=text, time=round(time.time(), 3)).document())

    # The thread that measures.

    def _measure_all(self) -> None:
        # The job stops itself if its journal cannot be written.
        with suppress(OSError):
            self._measure()

    def _measure(self) -> None:
        ended = False
        batch: list[_Committed | None] = []
        while not ended:
            batch.append(self._next())
            while not self._queue.empty():
                batch.append(self._queue.get())
            ended = None in batch
            if self._exports and not ended and self._spent > _SHARE * self.elapsed:
                # An export slows down the build; a later one covers more layers.
                continue
            stage: list[_Committed] = []
            for item in batch:
                # A base begins a stage, whose images are not based on earlier ones.
                if item is None or item.base:
                    self._write_stage(stage)
                    stage = []
                if item is not None:
                    stage.append(item)
            self._write_stage(stage)
            batch = []

    def _next(self) -> _Committed | None:
        try:
            return self._queue.get(timeout=_HEAD_START)
        except queue.Empty:
            # These are slow to import: done during a long step, not while a build starts, and not
            # at all if all layers have been measured before.
            import layerscope.build.layer_facts
            import layerscope.engines.resolve  # noqa: F401

            return self._queue.get()

    def _write_stage(self, stage: list[_Committed]) -> None:
        """Writes the steps of one stage, each image based on the one before, with their figures."""
        if not stage:
            return
        heights: list[int | None] = []
        known = self._known
        facts: dict[int, LayerFacts] = {}
        try:
            for item in stage:
                image = item.event.image
                heights.append(top := 0 if image is None else self._images.height(image))
                if item.base:
                    known, self.totals = top, None
            if top > known:
                facts = self._facts(stage[-1].event.image or "", known)
        except LayerscopeError:
            # Reports the steps without figures.
            heights += [None] * (len(stage) - len(heights))
        below = self._known
        for item, height in zip(stage, heights, strict=True):
            event = item.event
            if height is not None:
                if not item.base and height > below:
                    event = with_facts(event, facts.get(height - 1))
                below = height
            self._write(event)
        self._known = below

    def _facts(self, image: str, first: int) -> dict[int, LayerFacts]:
        from layerscope.build.figures import figures

        if self._hurried:
            return {}
        with closing(self._images.open(image)) as reader:
            self._exports = reader.way.endswith("export")
            begun = time.monotonic()
            facts, self.totals = figures(reader, first, self._progress)
            self._spent += time.monotonic() - begun
            return facts


def _pieces(line: str) -> list[str]:
    starts = range(0, max(1, len(line)), LONGEST_LINE)
    return [line[start : start + LONGEST_LINE] for start in starts]


def with_facts(event: BuildEvent, facts: LayerFacts | None) -> BuildEvent:
    """Returns the event with the figures of a layer, if any."""
    return event if facts is None else replace(event, **facts.document())
