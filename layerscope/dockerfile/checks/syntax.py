"""Checks of single instructions' syntax; most of these problems fail the build."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.checks.facts import Facts, nearest
from layerscope.dockerfile.checks.problems import Problem, error, warning
from layerscope.dockerfile.syntax.document import FaultKind, Flag, Form, Instruction
from layerscope.dockerfile.syntax.grammar import INSTRUCTIONS, FlagRule
from layerscope.dockerfile.syntax.mounts import MOUNTS, mount_keys, parse_mount
from layerscope.dockerfile.syntax.source import Span

_DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)\Z")
_MODE = re.compile(r"(?:[0-7]+|[ugoa]*[-+=][rwxXstugo]*(?:,[ugoa]*[-+=][rwxXstugo]*)*)\Z")
_NUMBERS = {
    "mode": re.compile(r"[0-7]{1,11}\Z"),
    "uid": re.compile(r"[0-9]{1,10}\Z"),
    "gid": re.compile(r"[0-9]{1,10}\Z"),
}
_DURATIONS = frozenset({"interval", "timeout", "start-period", "start-interval"})
_ONE = frozenset({"MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR"})
_SOME = frozenset({"ARG", "ENV", "EXPOSE", "LABEL", "VOLUME"})
_COMMANDS = frozenset({"CMD", "ENTRYPOINT", "RUN", "SHELL"})
#: The code of each kind of fault, and a hint.
_FAULTS = {
    FaultKind.JSON_NOT_STRINGS: ("InvalidJSON", "Put quotes around each item."),
    FaultKind.JSON_INVALID: ("JSONFormIgnored", 'Use double quotes and commas: ["a", "b"].'),
    FaultKind.HEREDOC_OPEN: ("OpenHeredoc", ""),
    FaultKind.ARGUMENTS: ("InvalidArguments", "Write NAME=VALUE."),
}


def check_syntax(facts: Facts) -> Iterator[Problem]:
    document = facts.document
    for directive in document.directives:
        if directive.repeated:
            message = f"The directive {directive.name} is repeated."
            yield error("InvalidDirective", message, directive.span)
        elif directive.name == "escape" and directive.value not in ("\\", "`"):
            message = f"The escape character cannot be {directive.value}."
            yield error("InvalidDirective", message, directive.value_span, "Use \\ or `.")
    if not document.instructions:
        message = "There are no instructions."
        yield error("NoInstructions", message, Span(0, 0), "Start with FROM.")
    elif not facts.stages.stages and all(i.keyword == "ARG" for i in facts.stages.above):
        last = document.instructions[-1].keyword_span
        yield error("NoFrom", "There is no FROM.", last, "Start a stage with FROM.")
    for instruction in facts.stages.above:
        if instruction.keyword != "ARG" and instruction.keyword in INSTRUCTIONS:
            message = f"{instruction.keyword} is above the first FROM."
            yield error("BeforeFrom", message, instruction, "Only ARG is allowed there.")
    for instruction in facts.all_instructions():
        yield from _instruction(instruction)
    for instruction in document.instructions:
        for line in instruction.empty_lines[:1]:
            place = document.source.starts[line]
            yield warning(
                "NoEmptyContinuation",
                "There is an empty line inside an instruction.",
                Span(place, place),
                "Remove it, or write a comment there: future versions of BuildKit will reject it.",
            )


def _instruction(instruction: Instruction) -> Iterator[Problem]:
    keyword = instruction.keyword
    rule = INSTRUCTIONS.get(keyword)
    if rule is None:
        message = f"There is no instruction {keyword}." if keyword else "An instruction is missing."
        hint = nearest(keyword, INSTRUCTIONS)
        yield error("UnknownInstruction", message, instruction, hint)
        return
    for fault in instruction.faults:
        code, hint = _FAULTS[fault.kind]
        if fault.kind is not FaultKind.JSON_INVALID:
            yield error(code, fault.message, fault.span, hint)
        elif keyword != "SHELL":
            yield warning(code, fault.message, fault.span, hint)
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
            yield error("InvalidFlag", f"--{flag.name} is repeated.", flag.span)
        seen.add(flag.name)
        yield from _flag(of_rule, flag)
    if not any(fault.kind is not FaultKind.JSON_INVALID for fault in instruction.faults):
        yield from _arguments(instruction)


def _flag(rule: FlagRule, flag: Flag) -> Iterator[Problem]:
    span = flag.value_span or flag.span
    if rule.takes == "bool":
        if flag.value is not None and flag.value.lower() not in ("true", "false"):
            yield error("InvalidFlag", f"--{flag.name} must be true or false.", span)
        return
    if flag.value is None:
        message = f"--{flag.name} has no value."
        yield error("InvalidFlag", message, flag.span, f"For example {rule.example}.")
        return
    if rule.choices and flag.value not in rule.choices and "$" not in flag.value:
        message = f"--{flag.name} cannot be {flag.value or 'empty'}."
        yield error("InvalidFlag", message, span, f"Use one of {', '.join(rule.choices)}.")
    elif rule.name in _DURATIONS and flag.value and not _DURATION.match(flag.value):
        message = f"{flag.value} is not a duration."
        yield error("InvalidFlag", message, span, f"For example {rule.example}.")
    elif rule.name == "chmod" and "$" not in flag.value and not _MODE.match(flag.value):
        yield error("InvalidFlag", f"{flag.value} is not a mode.", span, "For example 0755 or u+x.")
    elif rule.name == "retries" and not re.fullmatch(r"\+?\d+|", flag.value):
        yield error("InvalidFlag", f"{flag.value} is not a number.", span)
    elif rule.name == "mount":
        yield from _mount(flag)


def _mount(flag: Flag) -> Iterator[Problem]:
    mount = parse_mount(flag)
    if mount.type not in MOUNTS:
        if "$" not in mount.type:
            message = f"There is no mount type {mount.type}."
            yield error("InvalidMount", message, flag.span, nearest(mount.type, MOUNTS))
        return
    keys = {key.name: key for key in mount_keys(mount.type)}
    every = {key.name for _, rules in MOUNTS.values() for key in rules}
    typed = False
    for field in mount.fields:
        message, span, hint = "", field.span, ""
        typed |= field.key == "type"
        key = keys.get(field.key)
        if field.key == "type" or (key is not None and (key.flag or field.value is not None)):
            choices = key.choices if key is not None and not key.flag else ()
            value, number = field.value or "", _NUMBERS.get(field.key)
            if choices and value.lower() not in choices and "$" not in value:
                message, span = f"{field.key} cannot be {value or 'empty'}.", field.value_span
                hint = f"Use one of {', '.join(choices)}."
            elif field.key == "from" and "$" in value[:-1]:
                message, span = "Variables are not replaced in from.", field.value_span
                hint = "Name a stage: FROM $IMAGE AS name."
            elif number and "$" not in value and not number.match(value):
                message, span = f"{field.key} cannot be {value or 'empty'}.", field.value_span
            elif field.key in ("required", "size") and not typed:
                message = f"{field.key} must come after the type."
        elif key is not None:
            message = f"{field.key} has no value."
        elif field.key not in every:
            message = f"A mount has no key {field.key or '(empty)'}."
            hint = nearest(field.key, every)
        elif field.key in ("required", "size", "mode", "uid", "gid", "sharing", "from"):
            message = f"A mount of type {mount.type} has no {field.key}."
        if message:
            yield error("InvalidMount", message, span, hint)
    named = any(mount.field(key) for key in ("id", "source", "target"))
    target = mount.field("target")
    if mount.type == "secret" and not named:
        yield error("InvalidMount", "A secret needs an id or a target.", flag.span)
    elif target is not None and target.value == "/":
        yield error("InvalidMount", "A mount cannot replace /.", target.span)


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
            message, span = f"{child.keyword} is not allowed in ONBUILD.", child.keyword_span
    elif keyword == "FROM":
        if count not in (1, 3) or (count == 3 and words[1].text.upper() != "AS"):
            message = "FROM takes an image and, optionally, AS and a name."
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
        message, hint = "SHELL must be a JSON array.", 'For example ["/bin/bash", "-c"].'
    elif keyword in _COMMANDS and not count and not instruction.heredocs:
        # `ENTRYPOINT []` and `CMD []` remove the base image's.
        if keyword == "RUN" or instruction.form is not Form.EXEC:
            message = f"{keyword} has no command."
            yield warning("MissingCommand", message, span)
        return
    for pair in instruction.pairs:
        if not pair.name.text:
            message, span = f"{keyword} has a value without a name.", pair.name.span
    if message:
        hint = hint or f"Write {INSTRUCTIONS[keyword].syntax.splitlines()[0]}."
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
