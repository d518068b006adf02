"""Help for a position: an instruction, a flag, a mount, a directive, a variable."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.dockerfile.syntax.document import Document, Instruction
from layerscope.dockerfile.syntax.grammar import DIRECTIVES, INSTRUCTIONS, PLATFORM_ARGS, FlagRule
from layerscope.dockerfile.syntax.mounts import MOUNTS, mount_keys, parse_mount


@dataclass(frozen=True, slots=True)
class Help:
    title: str
    syntax: str  # One form per line.
    text: str  # A description of two or three sentences.
    example: str  # May be empty.


def instruction_help(name: str) -> Help | None:
    rule = INSTRUCTIONS.get(name.upper())
    return None if rule is None else Help(rule.name, rule.syntax, rule.text, rule.example)


def flag_help(instruction: str, name: str) -> Help | None:
    rule = INSTRUCTIONS.get(instruction.upper())
    flag = rule.flag(name) if rule is not None else None
    if rule is None or flag is None:
        return None
    return Help(f"{rule.name} --{flag.name}", _flag_syntax(flag), flag.text, flag.example)


def _flag_syntax(flag: FlagRule) -> str:
    if flag.takes == "bool":
        return f"--{flag.name}[=true|false]"
    if flag.choices:
        return f"--{flag.name}={'|'.join(flag.choices)}"
    return f"--{flag.name}=VALUE" + (" ..." if flag.takes == "values" else "")


def mount_help(kind: str) -> Help | None:
    if kind not in MOUNTS:
        return None
    keys = mount_keys(kind)
    syntax = ",".join([f"--mount=type={kind}", *(f"[{key.name}]" for key in keys)])
    lines = [MOUNTS[kind][0], *(f"{key.name}: {key.text}" for key in keys)]
    return Help(f"RUN --mount=type={kind}", syntax, "\n".join(lines), "")


def help_at(document: Document, offset: int) -> Help | None:
    for directive in document.directives:
        if directive.span.holds(offset):
            syntax = f"# {directive.name}=VALUE"
            return Help(f"# {directive.name}", syntax, DIRECTIVES[directive.name], "")
    found = document.instruction_at(document.source.line_at(offset))
    if found is None:
        return None
    for instruction in (found, found.child):
        if instruction is None:
            continue
        if instruction.keyword_span.holds(offset):
            return instruction_help(instruction.keyword)
        on_flag = _on_flag(instruction, offset)
        if on_flag is not None:
            return on_flag
        if instruction.keyword == "ARG":
            for pair in instruction.pairs:
                if pair.name.span.holds(offset) and pair.name.text in PLATFORM_ARGS:
                    name = pair.name.text
                    return Help(name, f"ARG {name}", PLATFORM_ARGS[name], "")
    return instruction_help(found.effective.keyword)


def _on_flag(instruction: Instruction, offset: int) -> Help | None:
    for flag in instruction.flags:
        if flag.span.holds(offset):
            if flag.name == "mount" and not flag.name_span.holds(offset):
                return mount_help(parse_mount(flag).type)
            return flag_help(instruction.keyword, flag.name)
    return None
