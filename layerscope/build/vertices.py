"""What BuildKit tells of its vertices, by `--progress=rawjson`, as the steps of a Dockerfile."""

from __future__ import annotations

import base64
import binascii
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from layerscope.build.events import BuildEvent, Kind
from layerscope.build.plan import Plan, Step
from layerscope.build.rawjson import between, dicts, documents
from layerscope.build.recorder import Recorder, with_facts
from layerscope.build.vertex_steps import VertexSteps
from layerscope.errors import LayerscopeError
from layerscope.images.image import Image
from layerscope.images.reader import ImageReader
from layerscope.oci.config import HistoryEntry
from layerscope.text import one_line

if TYPE_CHECKING:
    from layerscope.build.layer_facts import LayerFacts

_METADATA = re.compile(r"\[internal\] load metadata for (\S+)")
_CODE = re.compile(r"exit code: (\d{1,9})")
#: What BuildKit and buildx put before a reason, that says nothing to the one who builds.
_PREFIX = re.compile(
    r"(?:ERROR: |failed to build: |failed to solve: |failed to calculate checksum of ref \S+: )*"
)
#: Lines that are no JSON and are kept for the end.
_TAIL = 40


class Vertices:
    """Merges what is told of each vertex, and finds the step that it is.

    Attributes:
        problem: Why the build failed; empty if it did not.
        spoke: Whether BuildKit has said anything.
    """

    def __init__(
        self,
        plan: Plan,
        recorder: Recorder,
        triggers: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        """Begins.

        Args:
            plan: The steps of the Dockerfile.
            recorder: Takes the steps.
            triggers: What an image has for those that build on it, by its name.
        """
        self.problem = ""
        self.spoke = False
        self._plan = plan
        self._recorder = recorder
        self._known = VertexSteps(plan, triggers)
        self._steps: dict[str, Step | None] = {}
        self._begun: set[tuple[int, int]] = set()
        self._ended: dict[tuple[int, int], tuple[float | None, bool]] = {}
        self._warned: set[str] = set()

    def read(self, stream: IO[bytes]) -> deque[str]:
        """Takes what buildx prints until it ends; returns the last lines that are no JSON."""
        tail: deque[str] = deque(maxlen=_TAIL)
        for item in documents(stream):
            if isinstance(item, str):
                tail.append(item)
                continue
            self.spoke = True
            for vertex in dicts(item, "vertexes"):
                self._vertex(vertex)
            for log in dicts(item, "logs"):
                self._log(log)
            for warning in dicts(item, "warnings"):
                self._warn(warning)
        return tail

    def tell_ended(self, *, cached: bool = False) -> None:
        """Tells of steps that are over, where no image will say more of them.

        Args:
            cached: Tell of cache hits only: of a build that failed, nothing else is left.
        """
        for (number, trigger), (seconds, hit) in sorted(self._ended.items()):
            if hit or not cached:
                kind: Kind = "step_cached" if hit else "step_committed"
                self._recorder.told(
                    BuildEvent(kind, number, trigger=trigger or None, seconds=seconds)
                )

    def settle(self, reader: ImageReader) -> None:
        """Tells of each step of the image what it added, once the image is there."""
        from layerscope.build.layer_facts import layer_facts

        recorder = self._recorder
        layers = self._layers(reader.image)
        wanted = [layer for layer in layers.values() if layer is not None]
        facts: dict[int, LayerFacts] = {}
        if wanted:
            with suppress(LayerscopeError):
                facts, recorder.totals = layer_facts(reader, min(wanted))
        done = set(layers) | set(self._ended)
        last = max(layers, default=None)
        if last is not None:
            # The FROM of the stage that is built, which may have no vertex.
            stage = next(step.stage for step in self._plan.steps if step.number == last[0])
            done |= {s.key for s in self._plan.steps if s.stage == stage and s.keyword == "FROM"}
        for step in self._known.steps:
            if step.key not in done:
                continue
            if step.key not in self._begun:
                self._begin(step)
            seconds, cached = self._ended.get(step.key, (None, False))
            layer = layers.get(step.key)
            figures = facts.get(layer) if layer is not None else None
            event = BuildEvent(
                "step_cached" if cached else "step_committed",
                step.number,
                trigger=step.trigger or None,
                seconds=seconds,
                image=reader.image.id if step.key == last else None,
            )
            recorder.told(with_facts(event, figures))

    def _layers(self, image: Image) -> dict[tuple[int, int], int | None]:
        """For each step that the image has a history entry of, the number of its layer."""
        steps = list(self._plan.chain)
        base = len(image.history) - len(steps)
        # Whatever made the image, it was not the steps of this Dockerfile alone.
        if base < 0 or not all(map(_alike, steps, image.history[base:])):
            return {}
        layers = {s.key: e.layer for s, e in zip(steps, image.history[base:], strict=True)}
        # What the base image has for those that build on it comes before all of them.
        begin = self._plan.begin
        triggers = [] if begin is None else [*self._known.triggers(begin.number)]
        for entry in reversed(image.history[:base]):
            if triggers and _alike(triggers[-1], entry):
                layers[triggers.pop().key] = entry.layer
            elif not triggers or not entry.empty_layer:
                break
            # Else it changes the configuration only, and nobody has told of it.
        return layers

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        digest = str(vertex.get("digest", ""))
        name = str(vertex.get("name", ""))
        if digest not in self._steps:
            self._steps[digest] = self._known.find(name)
        step = self._steps[digest]
        error = vertex.get("error")
        if step is None and error and (found := _METADATA.fullmatch(name)) is not None:
            # Whether there is such a base is asked before anything begins.
            step = self._known.from_of(found[1])
            if step is not None:
                self._begin(step)
        if step is None:
            if error and not self.problem and "canceled" not in str(error):
                self.problem = reason(str(error))
            return
        if vertex.get("started"):
            for each in self._known.shared(step):
                self._begin(each)
        if error:
            text = reason(str(error))
            # Steps that ran beside the one that failed are stopped, which is no failure of theirs.
            if not self.problem and "context canceled" not in text:
                found = _CODE.search(text)
                self.problem = text
                code = int(found[1]) if found else None
                self._recorder.step_failed(step.number, text, code, step.trigger)
        elif vertex.get("completed") and vertex.get("started"):
            seconds = between(str(vertex["started"]), str(vertex["completed"]))
            cached = bool(vertex.get("cached"))
            for each in self._known.shared(step):
                self._end(each, seconds, cached)
                for below in self._known.below(each) if cached else ():
                    # Of what a hit is made of, BuildKit does not always say that it is one.
                    if below.key in self._ended and self._known.has_vertex(below):
                        self._end(below, self._ended[below.key][0], True)

    def _begin(self, step: Step) -> None:
        if step.key in self._begun:
            return
        for other in self._known.steps:
            above = other.stage in (0, step.stage) and other.key < step.key
            # What only changes the configuration has no vertex: it is done when the next begins.
            if above and other.key not in self._begun and not self._known.has_vertex(other):
                self._begun.add(other.key)
                self._tell_begun(other)
                self._end(other, None, False)
        self._begun.add(step.key)
        self._tell_begun(step)

    def _tell_begun(self, step: Step) -> None:
        steps = len(self._plan.steps)
        self._recorder.step_started(step.number, steps, step.text, step.line, step.trigger)

    def _end(self, step: Step, seconds: float | None, cached: bool) -> None:
        if self._ended.get(step.key) != (seconds, cached):
            self._recorder.end_log(step.number, step.trigger)
            self._ended[step.key] = (seconds, cached)
            self._recorder.done(step.number, seconds, cached, step.trigger)

    def _log(self, log: Mapping[str, Any]) -> None:
        step = self._steps.get(str(log.get("vertex", "")))
        try:
            data = base64.b64decode(str(log.get("data", "")))
        except (binascii.Error, ValueError):
            return
        text = data.decode("utf-8", "backslashreplace")
        number, trigger = (None, 0) if step is None else step.key
        self._recorder.log(number, text, trigger)

    def _warn(self, warning: Mapping[str, Any]) -> None:
        try:
            text = base64.b64decode(str(warning.get("short", ""))).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            text = str(warning.get("short", ""))
        line = None
        for place in dicts(warning, "range"):
            start = place.get("start")
            if isinstance(start, Mapping) and isinstance(start.get("line"), int):
                line = start["line"]
                break
        text = one_line(text)
        if text and f"{line}{text}" not in self._warned:
            self._warned.add(f"{line}{text}")
            self._recorder.warning(text, line=line)


def _alike(step: Step, entry: HistoryEntry) -> bool:
    """Whether a history entry is that of a step, as far as its first word tells."""
    words = entry.created_by.split(None, 1)
    return bool(words) and words[0].upper() == step.keyword


def reason(text: str) -> str:
    """What BuildKit says of a failure, on one line, without what is for its own."""
    return one_line(text[len(_PREFIX.match(text)[0]) :])  # type: ignore[index]
