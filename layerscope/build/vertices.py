"""Parses BuildKit's `--progress=rawjson`, and maps its vertices to steps of the Dockerfile."""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from io import BufferedIOBase
from typing import Any

from layerscope.bounded import Lines
from layerscope.build.events import BuildEvent, Kind, LayerFacts
from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import LONGEST_LINE, Recorder, with_facts
from layerscope.build.vertex_steps import VertexSteps
from layerscope.errors import LayerscopeError
from layerscope.images.image import Image
from layerscope.images.reader import ImageReader
from layerscope.oci.config import HistoryEntry
from layerscope.text import one_line

_METADATA = re.compile(r"\[internal\] load metadata for (\S+)")
_CODE = re.compile(r"exit code: (\d{1,9})")
#: Prefixes of BuildKit and buildx that say nothing about the build.
_PREFIX = re.compile(
    r"(?:ERROR: |failed to build: |failed to solve: |failed to calculate checksum of ref \S+: )*"
)
_TAIL = 40  # The most last lines that are not JSON to keep.
_LONGEST_OBJECT = 64 << 20  # Bytes of an object; longer ones are skipped.
_CHUNK = 1 << 16
#: A string, or a brace outside of strings.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]')


class Vertices:
    """Collects the statuses of vertices, and finds their steps."""

    def __init__(
        self, plan: Plan, recorder: Recorder, triggers: Callable[[str], Sequence[str]] | None = None
    ) -> None:
        """`triggers` returns the ONBUILD instructions of an image, by name."""
        self.problem = ""  # Why the build failed, or "".
        self.spoke = False  # Whether BuildKit has sent anything.
        self._plan = plan
        self._recorder = recorder
        self._known = VertexSteps(plan, triggers)
        self._steps: dict[str, Step | None] = {}
        self._begun: set[tuple[int, int]] = set()
        self._ended: dict[tuple[int, int], tuple[float | None, bool]] = {}
        self._warned: set[str] = set()

    def read(self, stream: BufferedIOBase) -> deque[str]:
        """Reads all output of buildx; returns the last lines that are not JSON."""
        tail: deque[str] = deque(maxlen=_TAIL)
        for item in _documents(stream):
            if isinstance(item, str):
                tail.append(item[:LONGEST_LINE])
                continue
            self.spoke = True
            for vertex in _dicts(item, "vertexes"):
                self._vertex(vertex)
            for log in _dicts(item, "logs"):
                self._log(log)
            for warning in _dicts(item, "warnings"):
                self._warn(warning)
        return tail

    def write_ended(self, *, cached: bool = False) -> None:
        """Reports finished steps when no image has their layers.

        A failed build leaves only the `cached` ones.
        """
        for (number, trigger), (seconds, hit) in sorted(self._ended.items()):
            if hit or not cached:
                kind: Kind = "step_cached" if hit else "step_committed"
                self._recorder.write(BuildEvent(kind, number, trigger=trigger, seconds=seconds))

    def settle(self, reader: ImageReader) -> None:
        """Writes what each step of the finished image added."""
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
            # Including the FROM of the built stage, which may have no vertex.
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
                trigger=step.trigger,
                seconds=seconds,
                image=reader.image.id if step.key == last else None,
            )
            recorder.write(with_facts(event, figures))

    def _layers(self, image: Image) -> dict[tuple[int, int], int | None]:
        """Returns the layer number of each step with a history entry in the image."""
        steps = list(self._plan.chain)
        base = len(image.history) - len(steps)
        # The image does not consist only of steps of this Dockerfile.
        if base < 0 or not all(map(_alike, steps, image.history[base:])):
            return {}
        layers = {s.key: e.layer for s, e in zip(steps, image.history[base:], strict=True)}
        # ONBUILD triggers of the base image come before all of them.
        begin = self._plan.begin
        triggers = [] if begin is None else [*self._known.triggers(begin.number)]
        for entry in reversed(image.history[:base]):
            if triggers and _alike(triggers[-1], entry):
                layers[triggers.pop().key] = entry.layer
            elif not triggers or not entry.empty_layer:
                break
            # Else the entry only changes the configuration, and has no vertex.
        return layers

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        digest = str(vertex.get("digest", ""))
        name = str(vertex.get("name", ""))
        if digest not in self._steps:
            self._steps[digest] = self._known.find(name)
        step = self._steps[digest]
        error = vertex.get("error")
        if step is None and error and (found := _METADATA.fullmatch(name)) is not None:
            # Base images are looked up before any step begins.
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
            # Parallel steps are cancelled, which is not a failure.
            if not self.problem and "context canceled" not in text:
                found = _CODE.search(text)
                self.problem = text
                code = int(found[1]) if found else None
                self._recorder.step_failed(step.number, text, code, step.trigger)
        elif vertex.get("completed") and vertex.get("started"):
            seconds = _between(str(vertex["started"]), str(vertex["completed"]))
            cached = bool(vertex.get("cached"))
            for each in self._known.shared(step):
                self._end(each, seconds, cached)
                for below in self._known.below(each) if cached else ():
                    # BuildKit does not always report that the steps below a hit are hits, too.
                    if below.key in self._ended and self._known.has_vertex(below):
                        self._end(below, self._ended[below.key][0], True)

    def _begin(self, step: Step) -> None:
        if step.key in self._begun:
            return
        for other in self._known.steps:
            above = other.stage in (0, step.stage) and other.key < step.key
            # A change of the configuration has no vertex: it is done when the next step begins.
            if above and other.key not in self._begun and not self._known.has_vertex(other):
                self._begun.add(other.key)
                self._write_begun(other)
                self._end(other, None, False)
        self._begun.add(step.key)
        self._write_begun(step)

    def _write_begun(self, step: Step) -> None:
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
            text = base64.b64decode(str(log.get("data", ""))).decode("utf-8", "backslashreplace")
        except ValueError:
            return
        number, trigger = (None, 0) if step is None else step.key
        self._recorder.log(number, text, trigger)

    def _warn(self, warning: Mapping[str, Any]) -> None:
        try:
            text = base64.b64decode(str(warning.get("short", ""))).decode("utf-8", "replace")
        except ValueError:
            text = str(warning.get("short", ""))
        starts = (place.get("start") for place in _dicts(warning, "range"))
        lines = (start.get("line") for start in starts if isinstance(start, Mapping))
        line = next((line for line in lines if isinstance(line, int)), None)
        text = one_line(text)
        if text and f"{line}{text}" not in self._warned:
            self._warned.add(f"{line}{text}")
            self._recorder.warning(text, line=line)


def _alike(step: Step, entry: HistoryEntry) -> bool:
    """Whether a history entry may be a step's, judged by its first word."""
    words = entry.created_by.split(None, 1)
    return bool(words) and words[0].upper() == step.keyword


def reason(text: str) -> str:
    """Returns BuildKit's error message on one line, without its prefixes."""
    return one_line(text[len(_PREFIX.match(text)[0]) :])  # type: ignore[index]


def _between(started: str, completed: str) -> float | None:
    """Returns the seconds between two RFC 3339 times, or None."""
    try:
        span = datetime.fromisoformat(completed) - datetime.fromisoformat(started)
    except ValueError:
        return None
    return round(span.total_seconds(), 3)


def _dicts(item: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    values = item.get(name)
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value


def _documents(stream: BufferedIOBase) -> Iterator[dict[str, Any] | str]:
    """Yields JSON objects, on one or several lines, and the lines between them."""
    pending: list[str] = []
    depth = size = 0
    for raw in _lines(stream):
        line = raw.decode("utf-8", "replace")
        if not pending and not line.lstrip().startswith("{"):
            if line.strip():
                yield line.rstrip()
            continue
        pending.append(line)
        size += len(line)
        # Strings do not span lines.
        depth += sum({"{": 1, "}": -1}.get(token[0], 0) for token in _TOKEN.finditer(line))
        if depth > 0 and size < _LONGEST_OBJECT:
            continue
        yield from _objects("\n".join(pending))
        pending, depth, size = [], 0, 0
    if pending:
        yield "\n".join(pending).strip()


def _lines(stream: BufferedIOBase) -> Iterator[bytes]:
    lines = Lines(_LONGEST_OBJECT)
    while piece := stream.read1(_CHUNK):
        yield from lines.feed(piece)
    yield lines.rest


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yields the consecutive JSON objects at the start of a text."""
    decoder = json.JSONDecoder()
    place = 0
    while (start := text.find("{", place)) >= 0 and not text[place:start].strip():
        try:
            document, place = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        yield document
