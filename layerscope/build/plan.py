"""The steps of a Dockerfile as builders count them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.meaning.stages import Stages, find_stages
from layerscope.dockerfile.syntax.document import Document, Instruction
from layerscope.dockerfile.syntax.expand import ExpansionError
from layerscope.redaction import without_logins


@dataclass(frozen=True, slots=True)
class Step:
    number: int  # Its number in the Dockerfile, from 1, including ARGs before the first FROM.
    stage: int  # Number of its stage, from 1; 0 before the first.
    place: int  # Its number in the stage; 1 is the FROM.
    stage_name: str  # Name of the stage in lower case, or its number from 0 as text.
    keyword: str  # The instruction's name in upper case.
    line: int | None  # Its first line, from 1; None for labels from the command line.
    text: str  # The instruction on one line, as written, without logins in URLs.
    #: 0 for an instruction of the Dockerfile; for an ONBUILD trigger of the base image, its number,
    #: from 1. All fields but keyword and text are then the FROM's.
    trigger: int = 0

    @property
    def key(self) -> tuple[int, int]:
        return self.number, self.trigger

    def triggered(self, trigger: int, text: str) -> Step:
        """Returns a trigger of this FROM; `text` is its instruction, with or without ONBUILD."""
        text = shown(text)
        if text[:8].upper() == "ONBUILD ":
            text = text[8:]
        keyword = text.partition(" ")[0].upper()
        return replace(self, keyword=keyword, text=f"ONBUILD {text}", trigger=trigger)


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]  # In the order of the Dockerfile.
    name_in_context: str = "Dockerfile"  # Path of the Dockerfile in the build context that is sent.
    #: The steps with a history entry in the image: those of the built stage and its base stages,
    #: without FROM and ONBUILD. Includes triggers of the Dockerfile's own stages, but not
    #: those of a base image.
    chain: tuple[Step, ...] = ()
    #: The image's name of each FROM with an image, with variables expanded.
    bases: Mapping[int, str] = field(default_factory=dict)
    heredocs: frozenset[int] = frozenset()  # Numbers of the steps with heredocs.
    needed: frozenset[int] = frozenset()  # Numbers of the stages that the image needs, from 1.
    #: The stage's number, from 1, of each FROM with a stage.
    begins: Mapping[int, int] = field(default_factory=dict)
    #: The triggers of each FROM with a stage that has ONBUILD.
    triggers: Mapping[int, tuple[Step, ...]] = field(default_factory=dict)
    begin: Step | None = None  # The FROM with an image or `scratch` that starts it.
    #: Numbers of WORKDIRs of the root directory, which need no execution.
    idle: frozenset[int] = frozenset()

    @property
    def lines(self) -> Mapping[int, int | None]:
        return {step.number: step.line for step in self.steps}

    def step_of(self, stage: int, place: int) -> Step | None:
        """Returns the step at a place in a stage, both from 1."""
        return next((s for s in self.steps if s.stage == stage and s.place == place), None)


def plan_of(
    document: Document,
    target: str = "",
    name_in_context: str = "Dockerfile",
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    builder: str = "",
) -> Plan:
    """The steps of a Dockerfile.

    `target` is the stage to build, by name or number, "" for the last; `name_in_context` the
    Dockerfile's path in the context. The builder determines how stage names are compared, and adds
    `labels` as a separate last step.
    """
    found = find_stages(document, arguments, builder)
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
    # The stage's number, for each FROM with an earlier stage.
    begins = {
        stage.start.index + 1: stage.below + 1 for stage in found.stages if stage.below is not None
    }
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
    """Returns WORKDIRs of the root directory, as far as the Dockerfile shows."""
    scopes = Scopes(document, found, arguments)
    numbers = []
    folders: list[str | None] = []
    for stage in found.stages:
        base = stage.base
        # The working directory of an image is unknown.
        folder = "/" if base is not None and base.name == "scratch" else None
        if stage.below is not None:
            folder = folders[stage.below]
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
        line=document.source.line_at(instruction.span.start) + 1,
        text=shown(instruction.joined.text),
    )


def shown(text: str) -> str:
    """Returns an instruction on one line, without logins in URLs."""
    return without_logins(" ".join(text.split()))
