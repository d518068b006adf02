"""Checks of apt in RUN: outdated package lists, and lists left in a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.checks.facts import Facts
from layerscope.dockerfile.checks.problems import Problem, warning
from layerscope.dockerfile.syntax.document import Form, Instruction
from layerscope.dockerfile.syntax.mounts import mounts_of

_SPLIT = re.compile(r"&&|\|\||[;\n|&()]")
_APT = re.compile(r"(?:^|\s)(?:\S*/)?apt(?:-get)?\s(?P<rest>.*)", re.DOTALL)
_VERB = re.compile(
    r"(?:^|\s)(?P<verb>update|install|build-dep|upgrade|dist-upgrade|full-upgrade)\b"
)
_REMOVES = re.compile(r"(?:^|\s)(?:\S*/)?rm\s")
_LISTS = re.compile(r"/var/lib/(?:apt|\{[^{}\s]*\bapt\b[^{}\s]*\})(?:/lists)?(?:[\s/*]|\Z)")

_ABOVE_LISTS = ("/var", "/var/lib", "/var/lib/apt", "/var/lib/apt/lists")


def script(instruction: Instruction) -> str:
    if instruction.form is Form.EXEC:
        return " ".join(word.text for word in instruction.words)
    return "\n".join([instruction.arguments, *(h.content for h in instruction.heredocs)])


def check_packages(facts: Facts) -> Iterator[Problem]:
    for instruction in facts.document.instructions:
        if instruction.keyword != "RUN":
            continue
        text = script(instruction)
        verbs = _verbs(text)
        if verbs == {"update"}:
            yield warning(
                "AptUpdateAlone",
                "apt-get update in a step of its own is cached while the lists become outdated.",
                instruction,
                "Install in the same RUN: apt-get update && apt-get install.",
            )
        elif verbs and "update" not in verbs and not _mounted(instruction):
            yield warning(
                "AptInstallWithoutUpdate",
                "apt-get install uses the lists that an earlier step left.",
                instruction,
                "Write apt-get update && apt-get install.",
            )
        kept = not _removes_lists(text) and not _mounted(instruction)
        if "update" in verbs and kept and instruction.stage in facts.shipped:
            yield warning(
                "AptListsKept",
                "The apt lists stay in the layer.",
                instruction,
                "End this RUN with rm -rf /var/lib/apt/lists/*, or mount a cache there.",
            )


def _verbs(text: str) -> set[str]:
    calls = filter(None, map(_APT.search, _SPLIT.split(text)))
    return {verb["verb"] for call in calls if (verb := _VERB.search(call["rest"]))}


def _removes_lists(text: str) -> bool:
    return "apt-get distclean" in text or any(
        _REMOVES.search(command) and _LISTS.search(command) for command in _SPLIT.split(text)
    )


def _mounted(instruction: Instruction) -> bool:
    """Whether the lists are in a mount, not in the layer."""
    targets = [mount.field("target") for mount in mounts_of(instruction)]
    return any(each and (each.value or "").rstrip("/") in _ABOVE_LISTS for each in targets)
