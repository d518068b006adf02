"""Checks of instructions that work, but perhaps not as intended."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.checks.facts import Facts
from layerscope.dockerfile.checks.problems import Problem, warning
from layerscope.dockerfile.meaning.stages import Stage
from layerscope.dockerfile.syntax.document import Form, Instruction
from layerscope.dockerfile.syntax.grammar import INSTRUCTIONS

_LAST_COUNTS = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_ABSOLUTE = re.compile(r"[\"']?(?:/|\\|\$|[A-Za-z]:)")
_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|tbz2?|txz|tzst)\Z", re.I)
_REMOTE = re.compile(r"(?:https?|git|ssh|ftp)://|git@|github\.com/")


def check_style(facts: Facts) -> Iterator[Problem]:
    yield from _casing(facts)
    for stage in facts.stages.stages:
        yield from _repeated(stage)
        yield from _workdir(facts, stage)
        yield from _shell_form(stage)
    for instruction in facts.all_instructions():
        keyword = instruction.keyword
        if keyword == "MAINTAINER":
            hint = "Use LABEL org.opencontainers.image.authors."
            yield warning("MaintainerDeprecated", "MAINTAINER is deprecated.", instruction, hint)
        elif keyword in ("ENV", "LABEL"):
            if instruction.pairs and instruction.pairs[0].legacy and instruction.pairs[0].value:
                name = instruction.pairs[0].name.text
                hint = f"Write {keyword} {name}=VALUE, and quote values with spaces."
                message = f"{keyword} with a space between name and value is the old form."
                yield warning("LegacyKeyValueFormat", message, instruction, hint)
        elif keyword == "EXPOSE":
            yield from _ports(instruction)
        elif keyword == "ADD":
            yield from _add(instruction)


def _casing(facts: Facts) -> Iterator[Problem]:
    written = [
        (i, facts.document.source.slice(i.keyword_span))
        for i in facts.document.instructions
        if i.keyword in INSTRUCTIONS
    ]
    upper = [word == word.upper() for _, word in written]
    most = sum(upper) * 2 >= len(upper)
    for instruction, word in written:
        if word != (word.upper() if most else word.lower()):
            case = "upper" if most else "lower"
            message = f"{word} is not in {case} case like the other instructions."
            yield warning("ConsistentInstructionCasing", message, instruction)
        words = instruction.words
        if instruction.keyword == "FROM" and len(words) == 3:
            used = words[1].text
            if used.upper() == "AS" and used != ("AS" if word.isupper() else "as"):
                message = f"{word} and {used} are not in the same case."
                yield warning("FromAsCasing", message, words[1].span)


def _repeated(stage: Stage) -> Iterator[Problem]:
    for keyword in _LAST_COUNTS:
        found = [i for i in stage.instructions if i.keyword == keyword]
        for instruction in found[:-1]:
            message = f"A later {keyword} in the stage replaces this one."
            yield warning("MultipleInstructionsDisallowed", message, instruction, "Remove it.")


def _workdir(facts: Facts, stage: Stage) -> Iterator[Problem]:
    """Relative folders before the first absolute one, in the stage or in those below it."""
    for below in facts.stages.chain(stage.below):
        if any(_absolute(i) for i in below.instructions if i.keyword == "WORKDIR"):
            return
    for instruction in stage.instructions:
        if instruction.keyword != "WORKDIR" or not instruction.words:
            continue
        if _absolute(instruction):
            return
        message = f"{instruction.words[0].text} is relative to the base image's WORKDIR."
        span = instruction.words[0].span
        yield warning("WorkdirRelativePath", message, span, "Start it with a slash.")


def _absolute(instruction: Instruction) -> bool:
    return bool(instruction.words) and bool(_ABSOLUTE.match(instruction.words[0].text))


def _shell_form(stage: Stage) -> Iterator[Problem]:
    shell = False
    for instruction in stage.instructions:
        shell |= instruction.keyword == "SHELL"
        if shell or instruction.keyword not in ("CMD", "ENTRYPOINT"):
            continue
        if instruction.form is Form.SHELL and instruction.words and not instruction.faults:
            message = f"A shell runs this {instruction.keyword} and receives the signals."
            hint = 'Use the JSON form: ["PROGRAM", "ARGUMENT"].'
            yield warning("JSONArgsRecommended", message, instruction, hint)


def _ports(instruction: Instruction) -> Iterator[Problem]:
    for word in instruction.words:
        port, _, protocol = word.text.partition("/")
        if protocol != protocol.lower() and "$" not in protocol:
            message = f"The protocol {protocol} is not in lower case."
            yield warning("ExposeProtoCasing", message, word.span)
        if ":" in re.sub(r"\$\{[^}]*\}", "", port):
            message = f"{word.text} maps a port, which EXPOSE cannot do."
            hint = "Give only the container's port."
            yield warning("ExposeInvalidFormat", message, word.span, hint)


def _add(instruction: Instruction) -> Iterator[Problem]:
    plain = [
        word
        for word in instruction.sources
        if not _ARCHIVE.search(word.text) and not _REMOTE.match(word.text) and "$" not in word.text
    ]
    if plain and len(plain) == len(instruction.sources):
        message = f"ADD is not needed for {plain[0].text}."
        hint = "Use COPY, which neither downloads nor unpacks."
        yield warning("AddLocalFile", message, instruction, hint)
