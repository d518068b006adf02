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
from typing import IO, TYPE_CHECKING, Any

from layerscope.build.events import BuildEvent, Kind
from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import Recorder, with_facts
from layerscope.errors import LayerscopeError
from layerscope.images.reader import ImageReader
from layerscope.text import one_line

if TYPE_CHECKING:
    from layerscope.build.layer_facts import LayerFacts

_VERTEX = re.compile(r"\[(?:(?P<stage>[^\]]*?) )?(?P<place>\d+)/\d+\] (?P<text>.*)", re.DOTALL)
_UNNAMED = re.compile(r"stage-(\d+)")
_METADATA = re.compile(r"\[internal\] load metadata for (\S+)")
_CODE = re.compile(r"exit code: (\d+)")
#: What BuildKit and buildx put before a reason, that says nothing to the one who builds.
_PREFIX = re.compile(
    r"(?:ERROR: |failed to build: |failed to solve: |failed to calculate checksum of ref \S+: )*"
)
#: Objects that are longer are none.
_LONGEST = 64 << 20
#: Lines that are no JSON and are kept for the end.
_TAIL = 40


class Vertices:
    """Merges what is told of each vertex, and finds the step that it is.

    Attributes:
        problem: Why the build failed; empty if it did not.
        spoke: Whether BuildKit has said anything.
    """

    def __init__(self, plan: Plan, recorder: Recorder) -> None:
        self.problem = ""
        self.spoke = False
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
            self.spoke = True
            for vertex in _dicts(item, "vertexes"):
                self._vertex(vertex)
            for log in _dicts(item, "logs"):
                self._log(log)
            for warning in _dicts(item, "warnings"):
                self._warn(warning)
        return tail

    def tell_ended(self, *, cached: bool = False) -> None:
        """Tells of steps that are over, where no image will say more of them.

        Args:
            cached: Tell of cache hits only: of a build that failed, nothing else is left.
        """
        for number, (seconds, hit) in sorted(self._ended.items()):
            if hit or not cached:
                kind: Kind = "step_cached" if hit else "step_committed"
                self._recorder.told(BuildEvent(kind, number, seconds=seconds))

    def settle(self, reader: ImageReader) -> None:
        """Tells of each step of the image what it added, once the image is there."""
        from layerscope.build.layer_facts import layer_facts

        recorder = self._recorder
        image = reader.image
        steps = list(self._plan.chain)
        base = len(image.history) - len(steps)
        # An image whose base has instructions for those that build on it has more entries.
        aligned = base >= 0 and all(
            step is None or _alike(step, entry.created_by)
            for step, entry in zip(steps, image.history[base:], strict=True)
        )
        if not aligned:
            steps = []
        layers = {
            step.number: entry.layer
            for step, entry in zip(steps, image.history[max(base, 0) :], strict=False)
            if step is not None
        }
        wanted = [layer for layer in layers.values() if layer is not None]
        facts: dict[int, LayerFacts] = {}
        if wanted:
            with suppress(LayerscopeError):
                facts, recorder.totals = layer_facts(reader, min(wanted))
        own = [step for step in steps if step is not None]
        done = {step.number for step in own} | set(self._ended)
        if own:
            # The FROM of the stage that is built, which may have no vertex.
            done |= {step.number for step in self._plan.steps if _begins(step, own[-1])}
        for step in self._plan.steps:
            if step.number not in done:
                continue
            if step.number not in self._begun:
                self._begin(step)
            seconds, cached = self._ended.get(step.number, (None, False))
            layer = layers.get(step.number)
            figures = facts.get(layer) if layer is not None else None
            event = BuildEvent(
                "step_cached" if cached else "step_committed",
                step.number,
                seconds=seconds,
                image=image.id if own and step is own[-1] else None,
            )
            recorder.told(with_facts(event, figures))

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        digest = str(vertex.get("digest", ""))
        name = str(vertex.get("name", ""))
        if digest not in self._steps:
            self._steps[digest] = self._step_of(name)
        step = self._steps[digest]
        error = vertex.get("error")
        if step is None and error and (found := _METADATA.fullmatch(name)) is not None:
            # Whether there is such a base is asked before anything begins.
            step = self._from_of(found[1])
            if step is not None:
                self._begin(step)
        if step is None:
            if error and not self.problem and "canceled" not in str(error):
                self.problem = reason(str(error))
            return
        if vertex.get("started"):
            for each in self._shared(step):
                self._begin(each)
        if error:
            text = reason(str(error))
            # Steps that ran beside the one that failed are stopped, which is no failure of theirs.
            if not self.problem and "context canceled" not in text:
                found = _CODE.search(text)
                self.problem = text
                self._recorder.step_failed(step.number, text, int(found[1]) if found else None)
        elif vertex.get("completed") and vertex.get("started"):
            seconds = _between(str(vertex["started"]), str(vertex["completed"]))
            cached = bool(vertex.get("cached"))
            for each in self._shared(step):
                self._end(each, seconds, cached)

    def _begin(self, step: Step) -> None:
        if step.number in self._begun:
            return
        for other in self._plan.steps:
            above = other.stage in (0, step.stage) and other.number < step.number
            # What only changes the configuration has no vertex: it is done when the next begins.
            if above and other.number not in self._begun and not self._has_vertex(other):
                self._begun.add(other.number)
                self._tell_begun(other)
                self._end(other, None, False)
        self._begun.add(step.number)
        self._tell_begun(step)

    def _tell_begun(self, step: Step) -> None:
        self._recorder.step_started(step.number, len(self._plan.steps), step.text, step.line)

    def _end(self, step: Step, seconds: float | None, cached: bool) -> None:
        if self._ended.get(step.number) != (seconds, cached):
            self._recorder.end_log(step.number)
            self._ended[step.number] = (seconds, cached)
            self._recorder.done(step.number, seconds, cached)

    def _shared(self, step: Step) -> list[Step]:
        """The steps of a vertex: stages that begin with the same image have one for all."""
        base = self._plan.bases.get(step.number)
        if base is None:
            return [step]
        needed = self._plan.needed
        alike = [each for each in self._plan.steps if self._plan.bases.get(each.number) == base]
        return [each for each in alike if each.stage in needed or each is step]

    def _has_vertex(self, step: Step) -> bool:
        """Whether it is carried out: a FROM that names no image has nothing to do."""
        if step.keyword == "FROM":
            return step.number in self._plan.bases
        return step.keyword in _WITH_VERTEX

    def _from_of(self, name: str) -> Step | None:
        """The FROM that names an image, of which BuildKit has the whole name."""
        for step in self._plan.steps:
            base = self._plan.bases.get(step.number, "")
            if base and (name == base or name.endswith((f"/{base}", f"/{base}:latest"))):
                return step
        return None

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


def _begins(step: Step, other: Step) -> bool:
    """Whether a step is the FROM of another one's stage."""
    return step.keyword == "FROM" and step.stage == other.stage


def reason(text: str) -> str:
    """What BuildKit says of a failure, on one line, without what is for its own."""
    return one_line(text[len(_PREFIX.match(text)[0]) :])  # type: ignore[index]


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
