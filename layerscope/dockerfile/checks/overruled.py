"""False positives of hadolint, which knows less than layerscope.

It does not know the shell of a script, the values of variables, and the stages of the image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from layerscope.dockerfile.checks.facts import Facts, World
from layerscope.dockerfile.checks.problems import Problem
from layerscope.dockerfile.meaning.stages import Stage
from layerscope.dockerfile.syntax.document import Document, Form, Instruction


@dataclass(frozen=True, slots=True)
class Overruled:
    problem: Problem
    reason: str  # A sentence.


def overrule(
    document: Document, world: World, problems: Iterable[Problem]
) -> tuple[list[Problem], list[Overruled]]:
    """Separates hadolint's false positives from all other problems."""
    facts = Facts(document, world)
    kept: list[Problem] = []
    wrong: list[Overruled] = []
    for problem in problems:
        reason = _reason(facts, problem) if problem.source == "hadolint" else ""
        if reason:
            wrong.append(Overruled(problem, reason))
        else:
            kept.append(problem)
    return kept, wrong


def _reason(facts: Facts, problem: Problem) -> str:
    line = facts.document.source.line_at(problem.span.start)
    instruction = facts.document.instruction_at(line)
    if instruction is None or instruction.stage < 0:
        return ""
    stage = facts.stages.stages[instruction.stage]
    check = _CHECKS.get("SC" if problem.code.startswith("SC") else problem.code)
    return "" if check is None else check(facts, stage, instruction, problem.code)


# Shells.

#: Programs that run a script of a POSIX shell, with or without extensions.
_PLAIN = frozenset({"sh", "dash", "ash"})
_SHELLS = _PLAIN | {"bash", "ksh", "zsh", "busybox", "mksh"}
_PIPEFAIL = re.compile(r"^\s*set\s+(?:-\S+\s+)*-\w*o\s+pipefail\b", re.MULTILINE)


#: Programs that run a script from standard input.
_SCRIPTED = re.compile(
    rf"(?:{'|'.join(sorted(_SHELLS))}|python[\d.]*|perl|ruby|node|php|lua|pwsh|powershell)\Z"
)


def _program(words: Iterable[str]) -> str:
    """The program in a command, without its folder; skips `env`."""
    for word in words:
        name = word.rpartition("/")[2].removesuffix(".exe").lower()
        if name not in ("env", "exec") and not word.startswith("-") and "=" not in word:
            return name
    return ""


def _interpreter(facts: Facts, stage: Stage, instruction: Instruction) -> tuple[str, str, str]:
    """The interpreter of a RUN's commands, if specified, and the script."""
    if instruction.heredocs:
        heredoc = instruction.heredocs[0]
        first = heredoc.content.partition("\n")[0]
        command = re.sub(r"<<-?\s*[\"']?\w+[\"']?", " ", instruction.arguments)
        if first.startswith("#!"):
            return _program(first[2:].split()), "The heredoc's first line", heredoc.content
        # If there are several commands, a shell runs the line.
        if _SCRIPTED.match(_program(command.split())) and not re.search("[|&;]", command):
            return _program(command.split()), "The command", heredoc.content
    for below in facts.stages.chain(stage.index):
        for each in reversed(below.instructions):
            above = below is not stage or each.index < instruction.index
            if each.keyword == "SHELL" and each.form is Form.EXEC and above:
                words = [word.text for word in each.words]
                return _program(words[:1]), "SHELL", " ".join(["set", *words[1:]])
    return "", "", ""


def _shell(facts: Facts, stage: Stage, instruction: Instruction, code: str) -> str:
    """ShellCheck assumes the default shell."""
    program, where, script = _interpreter(facts, stage, instruction.effective)
    if not program or program in _PLAIN:
        return ""
    if program not in _SHELLS:
        return f"{where} names {program}, which is not a shell."
    if code == "DL4006":
        return f"{where} sets pipefail." if _PIPEFAIL.search(script) else ""
    if re.fullmatch(r"SC(?:3\d\d\d|2039)", code):
        return f"{where} names {program}, which is more than a POSIX shell."
    return ""


# Stages and images.


def _tag(facts: Facts, stage: Stage, instruction: Instruction, _: str) -> str:
    base, word = stage.base, stage.base_word
    if instruction is not stage.start or base is None or word is None:
        return ""
    if "$" not in word.text:
        # hadolint compares names of stages case-sensitively.
        label = "" if base.stage is None else facts.stages.stages[base.stage].label
        return f"{base.name} is the stage {label}." if label else ""
    if not facts.is_base_known(stage):
        return ""
    if base.stage is not None:
        return f"The variable names the stage {base.name}."
    if base.name == "scratch" or re.search(r"@|:[^/]+\Z", base.name):
        return f"The variable stands for {base.name}."
    return ""


def _alias(facts: Facts, stage: Stage, instruction: Instruction, _: str) -> str:
    for use in stage.uses:
        if use.instruction is instruction and use.what == "copy" and use.stage is not None:
            label = facts.stages.stages[use.stage].label
            return f"{use.name} is the stage {label}." if use.stage < stage.index else ""
    return ""


def _user(facts: Facts, stage: Stage, instruction: Instruction, _: str) -> str:
    shipped = stage.index in facts.shipped
    return "" if shipped else f"The stage {stage.label} is not in the image."


def _workdir(facts: Facts, stage: Stage, instruction: Instruction, _: str) -> str:
    for below in facts.stages.chain(stage.below):
        if any(each.keyword == "WORKDIR" for each in below.instructions):
            return f"The stage {below.label} below sets WORKDIR."
    return ""


_CHECKS: Mapping[str, Callable[[Facts, Stage, Instruction, str], str]] = {
    "SC": _shell,
    "DL4006": _shell,
    "DL3002": _user,
    "DL3006": _tag,
    "DL3022": _alias,
    "DL3045": _workdir,
}
