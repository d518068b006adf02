"""The steps of a Dockerfile as builders count them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layerscope.dockerfile.document import Document, Instruction


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction that a builder carries out.

    Attributes:
        number: Its number in the Dockerfile, from 1, an ARG before the first FROM counted.
        stage: Number of its stage, from 1; 0 before the first.
        place: Its number in the stage, the FROM being 1.
        stage_name: Name of the stage in lower case, or its number from 0 as text.
        keyword: The instruction's name in upper case.
        line: The line on which it begins, from 1.
        text: The instruction as it is written, on one line.
    """

    number: int
    stage: int
    place: int
    stage_name: str
    keyword: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a Dockerfile.

    Attributes:
        steps: All of them, as they stand.
        name_in_context: Path of the Dockerfile in the build context that is sent.
        chain: The steps that the image has a history entry of: those of the stage that is built,
            and of the stages that it begins with, the FROMs left out.
    """

    steps: tuple[Step, ...]
    name_in_context: str = "Dockerfile"
    chain: tuple[Step, ...] = ()

    @property
    def lines(self) -> Mapping[int, int]:
        """The line of each step."""
        return {step.number: step.line for step in self.steps}

    def step_of(self, stage: int, place: int) -> Step | None:
        """The step with a number in a stage, both from 1."""
        for step in self.steps:
            if step.stage == stage and step.place == place:
                return step
        return None


def plan_of(document: Document, target: str = "", name_in_context: str = "Dockerfile") -> Plan:
    """The steps of a Dockerfile.

    Args:
        document: The Dockerfile.
        target: The stage to build, by name or by its number from 0; empty for the last.
        name_in_context: Path of the Dockerfile in the build context that is sent.
    """
    steps: list[Step] = []
    bases: list[str] = []
    names: list[str] = []
    place = 0
    for number, instruction in enumerate(document.instructions, start=1):
        if instruction.keyword == "FROM":
            words = [word.text for word in instruction.words]
            named = len(words) == 3 and words[1].upper() == "AS"
            names.append(words[2].lower() if named else str(len(names)))
            bases.append(words[0].lower() if words else "")
            place = 0
        place += 1
        steps.append(
            Step(
                number=number,
                stage=len(names),
                place=place,
                stage_name=names[-1] if names else "",
                keyword=instruction.keyword,
                line=document.range(instruction.span).start.line + 1,
                text=_text(instruction),
            )
        )
    return Plan(tuple(steps), name_in_context, _chain(steps, names, bases, target.lower()))


def _text(instruction: Instruction) -> str:
    return " ".join(instruction.joined.text.split())


def _chain(steps: list[Step], names: list[str], bases: list[str], target: str) -> tuple[Step, ...]:
    stage = len(names) - 1
    if target in names:
        stage = names.index(target)
    elif target.isdigit() and int(target) < len(names):
        stage = int(target)
    chain: list[Step] = []
    while stage >= 0:
        own = [each for each in steps if each.stage == stage + 1 and each.keyword != "FROM"]
        chain[:0] = own
        # A stage can begin only with one above it.
        earlier = names[:stage]
        stage = earlier.index(bases[stage]) if bases[stage] in earlier else -1
    return tuple(chain)
