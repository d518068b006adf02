"""The steps of a Dockerfile as builders count them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from layerscope.dockerfile.document import Document, Instruction
from layerscope.dockerfile.expand import ExpansionError
from layerscope.dockerfile.scope import Scopes
from layerscope.dockerfile.stages import Stages, find_stages


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction that a builder carries out.

    Attributes:
        number: Its number in the Dockerfile, from 1, an ARG before the first FROM counted.
        stage: Number of its stage, from 1; 0 before the first.
        place: Its number in the stage, the FROM being 1.
        stage_name: Name of the stage in lower case, or its number from 0 as text.
        keyword: The instruction's name in upper case.
        line: The line on which it begins, from 1; None if it is in no line, as labels of the
            command line are.
        text: The instruction as it is written, on one line.
        trigger: 0 for an instruction of the Dockerfile; for one that the base image has for those
            that build on it (ONBUILD), its number from 1: all else but keyword and text is that
            of the FROM.
    """

    number: int
    stage: int
    place: int
    stage_name: str
    keyword: str
    line: int | None
    text: str
    trigger: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """What it is known by."""
        return self.number, self.trigger

    def triggered(self, trigger: int, text: str) -> Step:
        """What is run for this FROM before the instruction behind it.

        Args:
            trigger: Its number, from 1.
            text: The instruction, with or without ONBUILD.
        """
        text = " ".join(text.split())
        if text[:8].upper() == "ONBUILD ":
            text = text[8:]
        keyword = text.partition(" ")[0].upper()
        return replace(self, keyword=keyword, text=f"ONBUILD {text}", trigger=trigger)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a Dockerfile.

    Attributes:
        steps: All of them, as they stand.
        name_in_context: Path of the Dockerfile in the build context that is sent.
        chain: The steps that the image has a history entry of: those of the stage that is built,
            and of the stages that it begins with, the FROMs and ONBUILDs left out, what ONBUILD
            of an own stage puts in between included; not what that of a base image does.
        bases: For each FROM, the image that it names, with variables replaced; none for stages.
        heredocs: Numbers of the steps with heredocs.
        needed: Numbers of the stages that the image needs, from 1.
        begins: For each FROM that names a stage, the number of that, from 1.
        triggers: For each FROM that names a stage with ONBUILD, what that runs.
        idle: Numbers of the WORKDIRs that lead to the root, where there is nothing to do.
        begin: The FROM, with an image or nothing, that the chain begins with.
    """

    steps: tuple[Step, ...]
    name_in_context: str = "Dockerfile"
    chain: tuple[Step, ...] = ()
    bases: Mapping[int, str] = field(default_factory=dict)
    heredocs: frozenset[int] = frozenset()
    needed: frozenset[int] = frozenset()
    begins: Mapping[int, int] = field(default_factory=dict)
    triggers: Mapping[int, tuple[Step, ...]] = field(default_factory=dict)
    begin: Step | None = None
    idle: frozenset[int] = frozenset()

    @property
    def lines(self) -> Mapping[int, int | None]:
        """The line of each step."""
        return {step.number: step.line for step in self.steps}

    def stage_steps(self, stage: int) -> int:
        """How many steps a stage has, from 1."""
        return sum(step.stage == stage for step in self.steps)

    def step_of(self, stage: int, place: int) -> Step | None:
        """The step with a number in a stage, both from 1."""
        for step in self.steps:
            if step.stage == stage and step.place == place:
                return step
        return None


def plan_of(
    document: Document,
    target: str = "",
    name_in_context: str = "Dockerfile",
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Plan:
    """The steps of a Dockerfile.

    Args:
        document: The Dockerfile.
        target: The stage to build, by name or by its number from 0; empty for the last.
        name_in_context: Path of the Dockerfile in the build context that is sent.
        arguments: Build arguments.
        labels: Labels that the builder adds by a step of its own, behind all others.
    """
    found = find_stages(document, arguments)
    steps = [_step(document, each, 0, place, "") for place, each in enumerate(found.above, 1)]
    stages: list[list[Step]] = []
    for stage in found.stages:
        own = [
            _step(document, each, stage.index + 1, place, stage.label)
            for place, each in enumerate(stage.instructions, 1)
        ]
        stages.append(own)
        steps += own
    if labels and stages and steps:
        text = "LABEL " + " ".join(f"{name}={value}" for name, value in labels.items())
        last = steps[-1]
        label = replace(
            last,
            number=last.number + 1,
            place=last.place + 1,
            keyword="LABEL",
            line=None,
            text=text,
        )
        steps.append(label)
        stages[-1].append(label)
    begins = _begins(found)
    triggers = _triggers(stages, begins)
    chain: list[Step] = []
    begin: Step | None = None
    index = wanted = found.find(target) if target else len(stages) - 1
    while index is not None and index >= 0:
        chain[:0] = [step for step in stages[index][1:] if step.keyword != "ONBUILD"]
        begin = stages[index][0]
        chain[:0] = triggers.get(begin.number, ())
        index = begins[begin.number] - 1 if begin.number in begins else None
    heredocs = frozenset(each.index + 1 for each in document.instructions if each.heredocs)
    needed = frozenset(stage + 1 for stage in found.needed(wanted)) if wanted is not None else ()
    return Plan(
        tuple(steps),
        name_in_context,
        tuple(chain),
        _bases(found),
        heredocs,
        frozenset(needed),
        begins,
        triggers,
        begin,
        _idle(document, found, arguments),
    )


def _idle(document: Document, found: Stages, arguments: Mapping[str, str] | None) -> frozenset[int]:
    """WORKDIRs that lead to the root, as far as the Dockerfile tells."""
    scopes = Scopes(document, found, arguments)
    numbers = []
    folders: list[str | None] = []
    for stage in found.stages:
        base = stage.base
        # Images say where one is; the Dockerfile does not.
        folder = "/" if base is not None and base.name == "scratch" else None
        if base is not None and base.stage is not None and base.stage < stage.index:
            folder = folders[base.stage]
        for each in stage.instructions:
            if each.keyword != "WORKDIR":
                continue
            try:
                text = scopes.expand(each, each.arguments).text
            except ExpansionError:
                folder = None
                continue
            if text.startswith("/") or folder is not None:
                folder = posixpath.normpath(posixpath.join("/", folder or "", text))
            if folder in ("/", "//"):
                numbers.append(each.index + 1)
        folders.append(folder)
    return frozenset(numbers)


def _begins(found: Stages) -> dict[int, int]:
    """For each FROM that names a stage, the number of that; it can only be one above it."""
    return {
        stage.start.index + 1: base.stage + 1
        for stage in found.stages
        if (base := stage.base) is not None and base.stage is not None and base.stage < stage.index
    }


def _triggers(stages: list[list[Step]], begins: Mapping[int, int]) -> dict[int, tuple[Step, ...]]:
    found = {}
    for number, stage in begins.items():
        start = next(own[0] for own in stages if own and own[0].number == number)
        texts = [step.text for step in stages[stage - 1] if step.keyword == "ONBUILD"]
        if texts:
            found[number] = tuple(start.triggered(n, text) for n, text in enumerate(texts, 1))
    return found


def _bases(found: Stages) -> dict[int, str]:
    return {
        stage.start.index + 1: base.name
        for stage in found.stages
        if (base := stage.base) is not None and base.stage is None and base.name != "scratch"
    }


def _step(document: Document, instruction: Instruction, stage: int, place: int, name: str) -> Step:
    return Step(
        number=instruction.index + 1,
        stage=stage,
        place=place,
        stage_name=name,
        keyword=instruction.keyword,
        line=document.range(instruction.span).start.line + 1,
        text=" ".join(instruction.joined.text.split()),
    )
