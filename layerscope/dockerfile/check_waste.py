"""Steps that wasted bytes when the document was built last."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.check_packages import script
from layerscope.dockerfile.document import Instruction
from layerscope.dockerfile.facts import Facts, StepWaste
from layerscope.dockerfile.problems import Problem, Severity
from layerscope.text import docker_size

#: Less than this is not worth a warning.
_WORTH = 1_000_000
#: Characters of what ONBUILD has run.
_QUOTED = 60


def check_waste(facts: Facts) -> Iterator[Problem]:
    """Instructions whose layer hid much of what lower layers hold."""
    instructions = facts.document.instructions
    for waste in facts.world.waste:
        if waste.size and 0 <= waste.instruction < len(instructions):
            instruction = instructions[waste.instruction]
            severity = Severity.WARNING if waste.size >= _WORTH else Severity.INFO
            message, hint = _words(waste, instruction)
            yield Problem("WastedBytes", severity, message, instruction.keyword_span, hint)


def _words(waste: StepWaste, instruction: Instruction) -> tuple[str, str]:
    text = script(instruction) if instruction.keyword == "RUN" else waste.trigger
    size = docker_size(waste.size)
    named = ", ".join(path for path, _ in waste.paths[:3])
    more = f", most of it in {named}" if named else ""
    layer = "" if waste.layer is None else f" (layer {waste.layer})"
    start = f"In {waste.image} {_quoted(waste.trigger) or 'this step'}{layer}"
    if waste.copied * 2 >= waste.size:
        message = f"{start} copied {docker_size(waste.copied)} that it did not change{more}."
        if re.search(r"\bch(?:own|grp)\b", text):
            return message, "Set the owner where the files come from: COPY --chown, or USER."
        if re.search(r"\bchmod\b", text):
            return message, "Set permissions where the files come from: COPY --chmod."
        return message, "Change owner, mode and times in the step that makes the files."
    if re.search(r"\brm\b|\bclean\b|\bpurge\b|\bautoremove\b", text):
        message = f"{start} removed {size} that lower layers still ship{more}."
        return message, "Remove them in the RUN that makes them, or mount a cache there."
    message = f"{start} hid {size} that lower layers still ship{more}."
    return message, "Write each file once, in one step."


def _quoted(instruction: str) -> str:
    return instruction if len(instruction) <= _QUOTED else f"{instruction[: _QUOTED - 1]}…"
