"""Instructions that `docker commit --change` accepts."""

from __future__ import annotations

from layerscope.dockerfile.syntax.document import FaultKind
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import UsageError
from layerscope.text import visible

_ALLOWED = (
    *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL"),
    *("USER", "VOLUME", "WORKDIR"),
)


def checked_change(text: str) -> str:
    """An instruction, as one line. Raises UsageError if no commit can apply it."""
    document = parse(f"{text}\n")
    if len(document.instructions) != 1 or document.instructions[0].heredocs:
        raise UsageError(
            f"{visible(text)} is not one instruction.", "Give --change once for each of them."
        )
    (instruction,) = document.instructions
    if instruction.keyword not in _ALLOWED:
        raise UsageError(
            f"A commit cannot apply {visible(instruction.keyword)}.",
            f"It applies {', '.join(_ALLOWED)}.",
        )
    if instruction.faults or not instruction.arguments:
        faults = instruction.faults
        if faults and faults[0].kind is FaultKind.JSON_INVALID:
            hint = f'Write it as in a Dockerfile: {instruction.keyword} ["PROGRAM", "ARGUMENT"].'
            raise UsageError(f"The JSON array of {visible(text)} is not valid.", hint)
        fault = faults[0].message if faults else "Nothing follows it."
        raise UsageError(
            f"{visible(text)} cannot be applied. {visible(fault)}",
            "Write it as a line of a Dockerfile.",
        )
    return instruction.joined.text.strip()
