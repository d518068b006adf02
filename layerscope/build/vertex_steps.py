"""Finds the step of a Dockerfile for a vertex of BuildKit, by its name.

`[builder 2/4] RUN …` is the second step with a vertex in the stage `builder`. There are no vertices
for a FROM with another stage or `scratch`, for instructions that only change the configuration, or
for a WORKDIR of the root directory. ONBUILD triggers of a base image count as steps after the FROM.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from layerscope.build.plan import Plan, Step, shown

_VERTEX = re.compile(
    r"\[(?:(?P<stage>[^\]]*?) )?(?P<place>\d{1,9})/(?P<of>\d{1,9})\] (?P<text>.*)", re.S
)
_UNNAMED = re.compile(r"stage-(\d{1,9})")

#: Instructions that have a vertex; the others only change the configuration.
_WITH_VERTEX = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})


class VertexSteps:
    """The steps of a build, found by the names of their vertices."""

    def __init__(self, plan: Plan, triggers: Callable[[str], Sequence[str]] | None = None) -> None:
        """`triggers` returns the ONBUILD instructions of an image, by name."""
        self._plan = plan
        self._triggers_of = triggers
        self._triggers: dict[int, list[Step]] = {n: [*own] for n, own in plan.triggers.items()}
        #: FROMs with all their triggers known, including those without vertices.
        self._whole = set(plan.triggers)
        self._asked: set[str] = set()
        self._alike: dict[tuple[object, ...], list[Step]] | None = None

    @property
    def steps(self) -> list[Step]:
        found = []
        for step in self._plan.steps:
            found += [step, *self._triggers.get(step.number, ())]
        return found

    def triggers(self, begin: int) -> Sequence[Step]:
        return self._triggers.get(begin, [])

    def has_vertex(self, step: Step) -> bool:
        """Whether BuildKit executes it: a FROM without an image does nothing."""
        if step.keyword == "FROM":
            return step.number in self._plan.bases
        idle = step.number in self._plan.idle and not step.trigger
        return step.keyword in _WITH_VERTEX and not idle

    def from_of(self, name: str) -> Step | None:
        for step in self._plan.steps:
            base = self._plan.bases.get(step.number, "")
            if base and (name == base or name.endswith((f"/{base}", f"/{base}:latest"))):
                return step
        return None

    def find(self, name: str) -> Step | None:
        """Returns the step of a vertex; None if it is not in the Dockerfile."""
        found = _VERTEX.fullmatch(name)
        if found is None or name.startswith("[internal]"):
            return None
        stage = (found["stage"] or "").split(" ")[-1].lower()
        if "/" in stage:
            # A platform, in a stage without a name.
            stage = ""
        unnamed = _UNNAMED.fullmatch(stage)
        own = [
            step
            for step in self._plan.steps
            if step.stage
            and (not stage or step.stage_name in (stage, unnamed[1] if unnamed else stage))
        ]
        if not own:
            return None
        start = own[0]
        own = [step for step in own if step.stage == start.stage]
        carried = [step for step in own if self.has_vertex(step)]
        place, text = int(found["place"]), found["text"]
        first = int(self.has_vertex(start))
        words = text.split(None, 2)
        if words[:1] == ["ONBUILD"]:
            return self._trigger(start, place - first, text)
        if place > first:
            if int(found["of"]) > len(carried):
                self._learn(start)
            # The vertices of triggers come before those of the stage's own instructions.
            place -= sum(self.has_vertex(step) for step in self.triggers(start.number))
        step = carried[place - 1] if 1 <= place <= len(carried) else None
        same = [each for each in own if each.text == shown(text)]
        if len(same) == 1:
            # The text is more reliable than counting steps that may have no vertex.
            return same[0]
        return step if step and words and step.keyword == words[0].upper() else None

    def shared(self, step: Step) -> list[Step]:
        """Returns the steps of a vertex: stages share vertices up to the first difference."""
        if self._alike is None:
            self._alike = {}
            for each in self._plan.steps:
                if each.stage:
                    self._alike.setdefault(self._below(each), []).append(each)
        needed = self._plan.needed
        start = self._start(step.stage)
        if not step.trigger:
            alike = self._alike.get(self._below(step), [])
            return [each for each in alike if each.stage in needed or each is step] or [step]
        others = [e for e in self._alike.get(self._below(start), []) if e.stage in needed]
        for other in others:
            if other is not start and other.number not in self._triggers:
                own = self._triggers[start.number]
                self._triggers[other.number] = [other.triggered(e.trigger, e.text) for e in own]
        wanted = [e for other in others for e in self.triggers(other.number)]
        return [e for e in wanted if e.trigger == step.trigger] or [step]

    def below(self, step: Step) -> list[Step]:
        """Returns the steps that a step builds on; none for COPY --link."""
        if step.keyword in ("COPY", "ADD") and "--link" in step.text:
            return []
        found = []
        stage = step.stage
        while stage:
            found += [s for s in self.steps if s.stage == stage and s.key < step.key]
            stage = self._plan.begins.get(self._start(stage).number, 0)
        return found

    def _start(self, stage: int) -> Step:
        return next(step for step in self._plan.steps if step.stage == stage)

    def _below(self, step: Step) -> tuple[object, ...]:
        start = self._start(step.stage)
        base = self._plan.bases.get(start.number)
        if base is None:
            # Stages that begin with another stage, or `scratch`, share nothing.
            return (step.stage, step.number)
        flags = [word for word in start.text.split() if word.startswith("--")]
        own = [s.text for s in self._plan.steps if s.stage == step.stage]
        return (base, *flags, *own[1 : step.place])

    def _trigger(self, start: Step, place: int, text: str) -> Step | None:
        """Returns the trigger for a vertex, by its number among the vertices of triggers."""
        self._learn(start)
        known = self._triggers.setdefault(start.number, [])
        carried = [step for step in known if self.has_vertex(step)]
        if place <= len(carried):
            return carried[place - 1]
        if start.number in self._whole or place > len(carried) + 1:
            return None
        known.append(start.triggered(len(known) + 1, text))
        return known[-1]

    def _learn(self, start: Step) -> None:
        base = self._plan.bases.get(start.number)
        if self._triggers_of is None or base is None or base in self._asked:
            return
        self._asked.add(base)
        texts = self._triggers_of(base)
        for number, name in self._plan.bases.items():
            if name == base and texts:
                begin = next(step for step in self._plan.steps if step.number == number)
                own = [begin.triggered(n, text) for n, text in enumerate(texts, 1)]
                self._triggers[number] = own
                self._whole.add(number)
