"""Checks of variables: whether they are set, can be expanded, and should be there at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.document import Flag, Instruction, Word
from layerscope.dockerfile.expand import ExpansionError, expand
from layerscope.dockerfile.facts import Facts, nearest, part
from layerscope.dockerfile.problems import Problem, Severity, error
from layerscope.oci.reference import parse_reference

_SECRET = re.compile(
    r"(?:_|\A)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)", re.I
)
_SPECIAL = re.compile(r"[$'\"\\`]")
_PUBLIC = re.compile(r"(?:_|\A)public(?:_|\Z)", re.I)
#: Instructions with words in which variables are replaced.
_EXPANDED = frozenset({"ADD", "COPY", "EXPOSE", "FROM", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})
_PAIRS = frozenset({"ARG", "ENV", "LABEL"})


def check_variables(facts: Facts) -> Iterator[Problem]:
    """Uses of variables, and names that tell a secret."""
    for instruction in facts.document.instructions:
        for word in _words(instruction):
            yield from _word(facts, instruction, word)
        if instruction.keyword in ("ARG", "ENV"):
            yield from _secrets(instruction)


def _words(instruction: Instruction) -> Iterator[Word]:
    """Words of an instruction in which variables are replaced."""
    keyword = instruction.keyword
    if keyword in _EXPANDED:
        words = instruction.words[:1] if keyword == "FROM" else instruction.words
        markers = {heredoc.marker for heredoc in instruction.heredocs}
        yield from (word for word in words if word.span not in markers)
    elif keyword in _PAIRS:
        for pair in instruction.pairs:
            yield pair.name
            if pair.value is not None:
                yield pair.value
    for flag in instruction.flags:
        if flag.value and flag.value_span and (keyword, flag.name) != ("COPY", "from"):
            yield _flag_word(flag)


def _flag_word(flag: Flag) -> Word:
    return Word(flag.value or "", flag.value_span or flag.span)


def _word(facts: Facts, instruction: Instruction, word: Word) -> Iterator[Problem]:
    if not _SPECIAL.search(word.text):
        return
    scope = facts.scopes.before(instruction)
    values = scope.values if "$" in word.text else {}
    try:
        found = expand(word.text, values, escape=facts.document.escape)
    except ExpansionError as failure:
        message = f"Variables cannot be replaced: {failure}."
        yield error("InvalidSubstitution", message, word.span)
        return
    for use in found.references:
        if use.found or use.guarded:
            continue
        span = part(instruction, word, use.start, use.end)
        declared = scope.variables.get(use.name)
        hint = nearest(use.name, scope.variables)
        if instruction.keyword == "FROM":
            if declared is None:
                message = f"${use.name} is not declared above the first FROM."
                hint = hint or f"Declare it: ARG {use.name}."
                yield Problem("UndefinedArgInFrom", Severity.WARNING, message, span, hint)
            elif declared.kind == "ARG" and not _is_reference(found.text):
                message = f"${use.name} has no default, so FROM names no image without it."
                hint = f"Give it one: ARG {use.name}=VALUE."
                yield Problem("InvalidDefaultArgInFrom", Severity.WARNING, message, span, hint)
        elif declared is None and use.name not in ("@", "*", "#", "?", "-", "$", "!"):
            message = f"${use.name} is not set here."
            severity = Severity.WARNING
            if not scope.complete:
                message = f"${use.name} is not set here, unless the base image does."
                severity = Severity.INFO
            if not hint and use.name in facts.scopes.before(facts.document.instructions[0]).values:
                hint = f"Bring it into the stage: ARG {use.name}."
            yield Problem("UndefinedVar", severity, message, span, hint)


def _is_reference(name: str) -> bool:
    try:
        parse_reference(name)
    except ValueError:
        return False
    return True


def _secrets(instruction: Instruction) -> Iterator[Problem]:
    for pair in instruction.pairs:
        name = pair.name.text
        if _SECRET.search(name) and not _PUBLIC.search(name):
            yield Problem(
                "SecretsUsedInArgOrEnv",
                Severity.WARNING,
                f"{name} looks like a secret, and anybody who has the image can read it.",
                pair.name.span,
                "Use RUN --mount=type=secret.",
            )
