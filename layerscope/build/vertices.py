"""What BuildKit tells of its vertices, by `--progress=rawjson`, as the steps of a Dockerfile."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import IO, Any

from layerscope.build.events import BuildEvent
from layerscope.build.layer_facts import layer_facts
from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import Recorder
from layerscope.errors import LayerscopeError
from layerscope.images.image import Image
from layerscope.images.reader import ImageReader
from layerscope.text import one_line

_VERTEX = re.compile(r"\[(?:(?P<stage>[^\]]*?) )?(?P<place>\d+)/\d+\] (?P<text>.*)", re.DOTALL)
_UNNAMED = re.compile(r"stage-(\d+)")
_CODE = re.compile(r"exit code: (\d+)")
#: Objects that are longer are none.
_LONGEST = 64 << 20
#: Lines that are no JSON and are kept for the end.
_TAIL = 40


class Vertices:
    """Merges what is told of each vertex, and finds the step that it is."""

    def __init__(self, plan: Plan, recorder: Recorder) -> None:
        self.problem = ""
        self._plan = plan
        self._recorder = recorder
        self._steps: dict[str, Step | None] = {}
        self._begun: set[int] = set()
        self._ended: dict[int, tuple[float | None, bool]] = {}
        self._warned: set[str] = set()

    def read(self, stream: IO[bytes]) -> deque[str]:
        """Takes what buildx prints until it ends; returns the last lines that are no JSON."""
        tail: deque[str] = deque(maxlen=_TAIL)
        for item in _documents(stream):
            if isinstance(item, str):
                tail.append(item)
                continue
            for vertex in _dicts(item, "vertexes"):
                self._vertex(vertex)
            for log in _dicts(item, "logs"):
                self._log(log)
            for warning in _dicts(item, "warnings"):
                self._warn(warning)
        return tail

    def tell_cached(self) -> None:
        """Tells of steps that were cache hits, where no image will say more of them."""
        for number, (seconds, cached) in sorted(self._ended.items()):
            if cached:
                self._recorder.told(BuildEvent("step_cached", number, seconds=seconds))

    def settle(self, reader: ImageReader) -> None:
        """Tells of each step of the image what it added, once the image is there."""
        recorder = self._recorder
        image = reader.image
        steps = list(self._plan.chain)
        base = len(image.history) - len(steps)
        # An image whose base has instructions for those that build on it has more entries.
        aligned = base >= 0 and all(
            _alike(step, entry.created_by)
            for step, entry in zip(steps, image.history[base:], strict=True)
        )
        if not aligned:
            steps = []
        layers = {
            step.number: entry.layer
            for step, entry in zip(steps, image.history[max(base, 0) :], strict=False)
        }
        wanted = [layer for layer in layers.values() if layer is not None]
        facts = {}
        if wanted:
            with suppress(LayerscopeError):
                facts = layer_facts(reader, min(wanted))
        done = {step.number for step in steps} | set(self._ended)
        for step in self._plan.steps:
            if step.number not in done:
                continue
            if step.number not in self._begun:
                self._begin(step)
            seconds, cached = self._ended.get(step.number, (None, False))
            layer = layers.get(step.number)
            figures = facts.get(layer) if layer is not None else None
            recorder.told(
                BuildEvent(
                    "step_cached" if cached else "step_committed",
                    step.number,
                    seconds=seconds,
                    image=_image_of(image, step, steps),
                    diff_id=None if figures is None else figures.diff_id,
                    size=None if figures is None else figures.size,
                    added=None if figures is None else figures.added,
                    modified=None if figures is None else figures.modified,
                    removed=None if figures is None else figures.removed,
                    wasted=None if figures is None else figures.wasted,
                )
            )

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        digest = str(vertex.get("digest", ""))
        if digest not in self._steps:
            self._steps[digest] = self._step_of(str(vertex.get("name", "")))
        step = self._steps[digest]
        error = vertex.get("error")
        if step is None:
            if error and not self.problem and "canceled" not in str(error):
                self.problem = one_line(str(error))
            return
        if vertex.get("started"):
            self._begin(step)
        if error:
            text = one_line(str(error))
            # Steps that ran beside the one that failed are stopped, which is no failure of theirs.
            if not self.problem and "context canceled" not in text:
                found = _CODE.search(text)
                self.problem = text
                self._recorder.step_failed(step.number, text, int(found[1]) if found else None)
        elif vertex.get("completed") and vertex.get("started"):
            seconds = _between(str(vertex["started"]), str(vertex["completed"]))
            cached = bool(vertex.get("cached"))
            if self._ended.get(step.number) != (seconds, cached):
                self._recorder.end_log(step.number)
                self._ended[step.number] = (seconds, cached)
                self._recorder.done(step.number, seconds, cached)

    def _begin(self, step: Step) -> None:
        if step.number not in self._begun:
            self._begun.add(step.number)
            total = len(self._plan.steps)
            self._recorder.step_started(step.number, total, step.text, step.line)

    def _log(self, log: Mapping[str, Any]) -> None:
        step = self._steps.get(str(log.get("vertex", "")))
        try:
            data = base64.b64decode(str(log.get("data", "")))
        except (binascii.Error, ValueError):
            return
        text = data.decode("utf-8", "backslashreplace")
        self._recorder.log(None if step is None else step.number, text)

    def _warn(self, warning: Mapping[str, Any]) -> None:
        try:
            text = base64.b64decode(str(warning.get("short", ""))).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            text = str(warning.get("short", ""))
        line = None
        for place in _dicts(warning, "range"):
            start = place.get("start")
            if isinstance(start, Mapping) and isinstance(start.get("line"), int):
                line = start["line"]
                break
        text = one_line(text)
        if text and f"{line}{text}" not in self._warned:
            self._warned.add(f"{line}{text}")
            self._recorder.warning(text, line=line)

    def _step_of(self, name: str) -> Step | None:
        """The step of a vertex: `[builder 2/4] RUN …` is the second one with a vertex there."""
        found = _VERTEX.fullmatch(name)
        if found is None or name.startswith("[internal]"):
            return None
        stage = (found["stage"] or "").split(" ")[-1].lower()
        unnamed = _UNNAMED.fullmatch(stage)
        keyword = found["text"].split(None, 1)[0].upper() if found["text"].split() else ""
        place = 0
        for step in self._plan.steps:
            if stage and step.stage_name not in (stage, unnamed[1] if unnamed else stage):
                continue
            if step.stage and step.keyword in _WITH_VERTEX:
                place += 1
                if place == int(found["place"]):
                    return step if step.keyword == keyword else None
        return None


#: Instructions that BuildKit makes a vertex of; the others change the configuration only.
_WITH_VERTEX = frozenset({"FROM", "RUN", "COPY", "ADD", "WORKDIR"})


def _alike(step: Step, created_by: str) -> bool:
    """Whether a history entry is that of a step, as far as its first word tells."""
    words = created_by.split(None, 1)
    return bool(words) and words[0].upper() == step.keyword


def _image_of(image: Image, step: Step, steps: list[Step]) -> str | None:
    return image.id if steps and step is steps[-1] else None


def _between(started: str, completed: str) -> float | None:
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


def _documents(stream: IO[bytes]) -> Iterator[dict[str, Any] | str]:
    """JSON objects, one after another, on one line each or on several, and lines between them."""
    decoder = json.JSONDecoder()
    pending = ""
    for raw in stream:
        line = raw.decode("utf-8", "replace")
        if not pending and not line.lstrip().startswith("{"):
            if line.strip():
                yield line.rstrip("\n")
            continue
        pending += line
        # Objects over several lines end with a brace of their own; nothing else need be tried.
        if not line.rstrip().endswith("}") and len(pending) < _LONGEST:
            continue
        text = pending.strip()
        while text:
            try:
                document, end = decoder.raw_decode(text)
            except ValueError:
                break
            if isinstance(document, dict):
                yield document
            text = text[end:].lstrip()
        pending = text if len(text) < _LONGEST else ""
    if pending.strip():
        yield pending.strip()
