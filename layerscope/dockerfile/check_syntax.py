"""Checks of what can be told from an instruction alone: the build ends at most of these."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.check_mounts import check_mount
from layerscope.dockerfile.document import FaultKind, Flag, Form, Instruction
from layerscope.dockerfile.facts import Facts, nearest
from layerscope.dockerfile.grammar import INSTRUCTIONS, FlagRule
from layerscope.dockerfile.problems import Problem, Severity, error
from layerscope.dockerfile.source import Span

_DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)\Z")
_MODE = re.compile(r"(?:[0-7]+|[ugoa]*[-+=][rwxXstugo]*(?:,[ugoa]*[-+=][rwxXstugo]*)*)\Z")
_DURATIONS = frozenset({"interval", "timeout", "start-period", "start-interval"})
_ONE = frozenset({"MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR"})
_SOME = frozenset({"ARG", "ENV", "EXPOSE", "LABEL", "VOLUME"})
_COMMANDS = frozenset({"CMD", "ENTRYPOINT", "RUN", "SHELL"})


def check_syntax(facts: Facts) -> Iterator[Problem]:
    """Everything that is wrong with an instruction as it is written."""
    document = facts.document
    for directive in document.directives:
        if directive.repeated:
            message = f"The directive {directive.name} stands here a second time."
            yield error("InvalidDirective", message, directive.span)
        elif directive.name == "escape" and directive.value not in ("\\", "`"):
            message = f"The escape character cannot be {directive.value}."
            yield error("InvalidDirective", message, directive.value_span, "It is \\ or `.")
    if not document.instructions:
        message = "There are no instructions."
        yield error("NoInstructions", message, Span(0, 0), "Begin with FROM.")
    elif not facts.stages.stages and all(i.keyword == "ARG" for i in facts.stages.above):
        last = document.instructions[-1].keyword_span
        yield error("NoFrom", "There is no FROM.", last, "Begin a stage with FROM.")
    for instruction in facts.stages.above:
        if instruction.keyword != "ARG" and instruction.keyword in INSTRUCTIONS:
            message = f"{instruction.keyword} stands above the first FROM."
            hint = "Only ARG can stand there."
            yield error("BeforeFrom", message, instruction.keyword_span, hint)
    for instruction in facts.all_instructions():
        yield from _instruction(instruction)
    for instruction in document.instructions:
        for line in instruction.empty_lines[:1]:
            place = document.source.starts[line]
            yield Problem(
                "NoEmptyContinuation",
                Severity.WARNING,
                "An empty line stands inside of an instruction.",
                Span(place, place),
                "Remove it, or put a comment there: a later BuildKit will refuse it.",
            )


def _instruction(instruction: Instruction) -> Iterator[Problem]:
    keyword = instruction.keyword
    rule = INSTRUCTIONS.get(keyword)
    if rule is None:
        message = f"There is no instruction {keyword}." if keyword else "An instruction is missing."
        hint = nearest(keyword, INSTRUCTIONS)
        yield error("UnknownInstruction", message, instruction.keyword_span, hint)
        return
    yield from _faults(instruction)
    seen: set[str] = set()
    for flag in instruction.flags:
        of_rule = rule.flag(flag.name)
        if of_rule is None:
            message = f"{keyword} has no flag --{flag.name}."
            hint = nearest(flag.name, [known.name for known in rule.flags]).replace(
                "mean ", "mean --"
            )
            yield error("UnknownFlag", message, flag.name_span, hint)
            continue
        if flag.name in seen and of_rule.takes != "values":
            yield error("InvalidFlag", f"--{flag.name} stands here a second time.", flag.span)
        seen.add(flag.name)
        yield from _flag(of_rule, flag)
    if not any(fault.kind is not FaultKind.JSON_INVALID for fault in instruction.faults):
        yield from _arguments(instruction)


def _faults(instruction: Instruction) -> Iterator[Problem]:
    for fault in instruction.faults:
        if fault.kind is FaultKind.JSON_NOT_STRINGS:
            yield error("InvalidJSON", fault.message, fault.span, "Put quotes around each item.")
        elif fault.kind is FaultKind.HEREDOC_OPEN:
            yield error("OpenHeredoc", fault.message, fault.span)
        elif fault.kind is FaultKind.ARGUMENTS:
            yield error("InvalidArguments", fault.message, fault.span, "Write NAME=VALUE.")
        elif instruction.keyword != "SHELL":
            yield Problem(
                "JSONFormIgnored",
                Severity.WARNING,
                fault.message,
                fault.span,
                'JSON has double quotes and commas: ["a", "b"].',
            )


def _flag(rule: FlagRule, flag: Flag) -> Iterator[Problem]:
    span = flag.value_span or flag.span
    if rule.takes == "bool":
        if flag.value is not None and flag.value.lower() not in ("true", "false"):
            yield error("InvalidFlag", f"--{flag.name} is true or false.", span)
        return
    if flag.value is None:
        message = f"--{flag.name} has no value."
        yield error("InvalidFlag", message, flag.span, f"For instance {rule.example}.")
        return
    if rule.choices and flag.value not in rule.choices and "$" not in flag.value:
        message = f"--{flag.name} cannot be {flag.value or 'empty'}."
        yield error("InvalidFlag", message, span, f"It is one of {', '.join(rule.choices)}.")
    elif rule.name in _DURATIONS and flag.value and not _DURATION.match(flag.value):
        message = f"{flag.value} is no duration."
        yield error("InvalidFlag", message, span, f"For instance {rule.example}.")
    elif rule.name == "chmod" and "$" not in flag.value and not _MODE.match(flag.value):
        yield error("InvalidFlag", f"{flag.value} is no mode.", span, "For instance 0755 or u+x.")
    elif rule.name == "retries" and not re.fullmatch(r"\+?\d+|", flag.value):
        yield error("InvalidFlag", f"{flag.value} is no number.", span)
    elif rule.name == "mount":
        yield from check_mount(flag)


def _arguments(instruction: Instruction) -> Iterator[Problem]:
    keyword, words = instruction.keyword, instruction.words
    span = instruction.keyword_span
    count = len(words)
    message = ""
    hint = ""
    if keyword == "ONBUILD":
        child = instruction.child
        if child is None:
            message = "ONBUILD has no instruction."
        elif child.keyword in ("ONBUILD", "FROM", "MAINTAINER"):
            message, span = f"{child.keyword} cannot stand in ONBUILD.", child.keyword_span
    elif keyword == "FROM":
        if count not in (1, 3) or (count == 3 and words[1].text.upper() != "AS"):
            message = "FROM takes an image and, after AS, a name."
            span = instruction.arguments_span if count else span
    elif keyword in ("ADD", "COPY"):
        if count < 2:
            message = f"{keyword} needs a source and a destination."
        elif any(h.marker == words[-1].span for h in instruction.heredocs):
            message, span = f"{keyword} has no destination.", words[-1].span
    elif keyword == "HEALTHCHECK":
        message, span = _health(instruction)
    elif keyword in _ONE or keyword in _SOME:
        if not count:
            message = f"{keyword} has no argument."
    elif keyword == "SHELL" and (instruction.form is not Form.EXEC or not count):
        message, hint = "SHELL must be a JSON array.", 'For instance ["/bin/bash", "-c"].'
    elif keyword in _COMMANDS and not count and not instruction.heredocs:
        # `ENTRYPOINT []` and `CMD []` take away what the base image has.
        if keyword == "RUN" or instruction.form is not Form.EXEC:
            message = f"{keyword} has no command."
            yield Problem("MissingCommand", Severity.WARNING, message, span)
        return
    if keyword == "ARG" or keyword in ("ENV", "LABEL"):
        for pair in instruction.pairs:
            if not pair.name.text:
                message, span = f"{keyword} has a value without a name.", pair.name.span
    if message:
        rule = INSTRUCTIONS[keyword]
        hint = hint or f"Write {rule.syntax.splitlines()[0]}."
        yield error("InvalidArguments", message, span, hint)


def _health(instruction: Instruction) -> tuple[str, Span]:
    words = instruction.words
    if not words:
        return "HEALTHCHECK needs CMD or NONE.", instruction.keyword_span
    kind = words[0].text.upper()
    if kind == "NONE":
        return ("HEALTHCHECK NONE takes no arguments." if words[1:] else ""), words[0].span
    if kind != "CMD":
        return f"HEALTHCHECK needs CMD or NONE, not {words[0].text}.", words[0].span
    return ("HEALTHCHECK CMD has no command." if not words[1:] else ""), words[0].span
