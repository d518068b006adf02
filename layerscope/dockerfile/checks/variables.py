"""Checks of variables: whether they are set, can be expanded, and look like secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.checks.facts import Facts, nearest, part
from layerscope.dockerfile.checks.problems import Problem, Severity, error, warning
from layerscope.dockerfile.meaning.scope import expanded_words
from layerscope.dockerfile.syntax.document import Heredoc, Instruction, Word
from layerscope.dockerfile.syntax.expand import ExpansionError, expand
from layerscope.dockerfile.syntax.source import Span
from layerscope.oci.reference import is_reference

_SECRET = re.compile(
    r"(?:_|\A)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)", re.I
)
_SPECIAL = re.compile(r"[$'\"\\`]")
_PUBLIC = re.compile(r"(?:_|\A)public(?:_|\Z)", re.I)


def check_variables(facts: Facts) -> Iterator[Problem]:
    builder = facts.world.builder
    # Other builders evaluate defaults even if they are overridden.
    given = facts.world.arguments if builder is None or builder.name == "buildkit" else None
    for instruction in facts.document.instructions:
        for word in expanded_words(instruction, given or ()):
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
    for use in found.unset:
        span = part(instruction, word, use.start, use.end)
        if instruction.keyword != "FROM":
            yield from _unset(facts, instruction, use.name, span)
            continue
        declared = scope.variables.get(use.name)
        if declared is None:
            message = f"${use.name} is not declared above the first FROM."
            hint = nearest(use.name, scope.variables) or f"Declare it: ARG {use.name}."
            yield warning("UndefinedArgInFrom", message, span, hint)
        elif declared.kind == "ARG" and not is_reference(found.text):
            message = f"${use.name} has no default, so FROM has no valid image name."
            hint = f"Give it a default: ARG {use.name}=VALUE."
            yield warning("InvalidDefaultArgInFrom", message, span, hint)


def _heredoc(facts: Facts, instruction: Instruction, heredoc: Heredoc) -> Iterator[Problem]:
    """Variables in the content that a COPY or ADD writes, which are expanded too."""
    if "$" not in heredoc.content:
        return
    values = facts.scopes.before(instruction).values
    try:
        found = expand(heredoc.content, values, quotes=False)
    except ExpansionError as failure:
        message = f"Variables in the heredoc cannot be replaced: {failure}."
        hint = f"If $ is literal, quote the heredoc's name: <<'{heredoc.name}'."
        yield error("InvalidSubstitution", message, heredoc.marker, hint)
        return
    exact = facts.document.source.slice(heredoc.body) == heredoc.content
    start = heredoc.body.start
    for use in found.unset:
        span = Span(start + use.start, start + use.end) if exact else heredoc.marker
        yield from _unset(facts, instruction, use.name, span)


def _unset(facts: Facts, instruction: Instruction, name: str, span: Span) -> Iterator[Problem]:
    """Reports a variable without a value, unless an ARG declares it."""
    scope = facts.scopes.before(instruction)
    if name in scope.variables or name in ("@", "*", "#", "?", "-", "$", "!"):
        return
    message = f"${name} is not set here."
    severity = Severity.WARNING
    if not scope.complete:
        message = f"${name} is not set here, unless the base image sets it."
        severity = Severity.INFO
    hint = nearest(name, scope.variables)
    if not hint and name in facts.scopes.before(facts.document.instructions[0]).values:
        hint = f"Bring it into the stage: ARG {name}."
    yield Problem("UndefinedVar", severity, message, span, hint)


def _secrets(instruction: Instruction) -> Iterator[Problem]:
    for pair in instruction.pairs:
        name = pair.name.text
        if _SECRET.search(name) and not _PUBLIC.search(name):
            message = f"{name} looks like a secret, and anyone with the image can read it."
            hint = "Use RUN --mount=type=secret."
            yield warning("SecretsUsedInArgOrEnv", message, pair.name.span, hint)
