"""Checks which steps wasted bytes in the last build of the document."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.checks.facts import Facts
from layerscope.dockerfile.checks.packages import script
from layerscope.dockerfile.checks.problems import Problem, Severity
from layerscope.dockerfile.meaning.match_history import StepWaste
from layerscope.dockerfile.syntax.document import Instruction
from layerscope.text import clip, docker_size

_WORTH = 1_000_000  # Less waste than this gets no warning.
_QUOTED = 60  # Characters of an ONBUILD instruction.


def check_waste(facts: Facts) -> Iterator[Problem]:
    """Instructions whose layer hid much of the content of lower layers."""
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
    more = f", mostly in {named}" if named else ""
    layer = "" if waste.layer is None else f" (layer {waste.layer})"
    start = f"In {waste.image} {clip(waste.trigger, _QUOTED) or 'this step'}{layer}"
    if waste.copied * 2 >= waste.size:
        message = f"{start} copied {docker_size(waste.copied)} without changing it{more}."
        if re.search(r"\bch(?:own|grp)\b", text):
            return message, "Set the owner when the files are created: COPY --chown, or USER."
        if re.search(r"\bchmod\b", text):
            return message, "Set permissions when the files are created: COPY --chmod."
        return message, "Change owner, mode and times in the step that creates the files."
    if re.search(r"\brm\b|\bclean\b|\bpurge\b|\bautoremove\b", text):
        did = "removed or copied" if waste.copied else "removed"
        message = f"{start} {did} {size} that lower layers still contain{more}."
        return message, "Remove them in the RUN that creates them, or mount a cache there."
    message = f"{start} hid {size} that lower layers still contain{more}."
    return message, "Write each file once, in one step."
