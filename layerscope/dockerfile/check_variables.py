"""Checks of variables: whether they are set, can be expanded, and should be there at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.document import Heredoc, Instruction, Word
from layerscope.dockerfile.expand import ExpansionError, expand
from layerscope.dockerfile.facts import Facts, nearest, part
from layerscope.dockerfile.problems import Problem, Severity, error
from layerscope.dockerfile.scope import expanded_words
from layerscope.dockerfile.source import Span
from layerscope.oci.reference import parse_reference

_SECRET = re.compile(
    r"(?:_|\A)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)", re.I
)
_SPECIAL = re.compile(r"[$'\"\\`]")
_PUBLIC = re.compile(r"(?:_|\A)public(?:_|\Z)", re.I)


def check_variables(facts: Facts) -> Iterator[Problem]:
    """Uses of variables, and names that tell a secret."""
    for instruction in facts.document.instructions:
        for word in expanded_words(instruction):
            yield from _word(facts, instruction, word)
        if instruction.keyword in ("ARG", "ENV"):
            yield from _secrets(instruction)
        elif instruction.keyword in ("ADD", "COPY"):
            for heredoc in instruction.heredocs:
                if heredoc.expand:
                    yield from _heredoc(facts, instruction, heredoc)


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
        if instruction.keyword != "FROM":
            yield from _unset(facts, instruction, use.name, span)
            continue
        declared = scope.variables.get(use.name)
        if declared is None:
            message = f"${use.name} is not declared above the first FROM."
            hint = nearest(use.name, scope.variables) or f"Declare it: ARG {use.name}."
            yield Problem("UndefinedArgInFrom", Severity.WARNING, message, span, hint)
        elif declared.kind == "ARG" and not _is_reference(found.text):
            message = f"${use.name} has no default, so FROM names no image without it."
            hint = f"Give it one: ARG {use.name}=VALUE."
            yield Problem("InvalidDefaultArgInFrom", Severity.WARNING, message, span, hint)


def _heredoc(facts: Facts, instruction: Instruction, heredoc: Heredoc) -> Iterator[Problem]:
    """Variables in what a COPY or ADD writes, which are replaced there too."""
    if "$" not in heredoc.content:
        return
    values = facts.scopes.before(instruction).values
    try:
        found = expand(heredoc.content, values, quotes=False)
    except ExpansionError as failure:
        message = f"Variables in the heredoc cannot be replaced: {failure}."
        hint = f"Quote its name if $ is text: <<'{heredoc.name}'."
        yield error("InvalidSubstitution", message, heredoc.marker, hint)
        return
    exact = facts.document.source.slice(heredoc.body) == heredoc.content
    start = heredoc.body.start
    for use in found.references:
        if not use.found and not use.guarded:
            span = Span(start + use.start, start + use.end) if exact else heredoc.marker
            yield from _unset(facts, instruction, use.name, span)


def _unset(facts: Facts, instruction: Instruction, name: str, span: Span) -> Iterator[Problem]:
    """What to say of a variable without a value; nothing if an ARG declares it."""
    scope = facts.scopes.before(instruction)
    if name in scope.variables or name in ("@", "*", "#", "?", "-", "$", "!"):
        return
    message = f"${name} is not set here."
    severity = Severity.WARNING
    if not scope.complete:
        message = f"${name} is not set here, unless the base image does."
        severity = Severity.INFO
    hint = nearest(name, scope.variables)
    if not hint and name in facts.scopes.before(facts.document.instructions[0]).values:
        hint = f"Bring it into the stage: ARG {name}."
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
