"""Checks of what RUN does with apt: lists that are old, and lists that stay in a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.check_style import warning
from layerscope.dockerfile.document import Form, Instruction
from layerscope.dockerfile.facts import Facts
from layerscope.dockerfile.mounts import parse_mount
from layerscope.dockerfile.problems import Problem

_SPLIT = re.compile(r"&&|\|\||[;\n|&()]")
_APT = re.compile(r"(?:^|\s)(?:\S*/)?apt(?:-get)?\s(?P<rest>.*)", re.DOTALL)
_VERB = re.compile(
    r"(?:^|\s)(?P<verb>update|install|build-dep|upgrade|dist-upgrade|full-upgrade)\b"
)
_REMOVES = re.compile(r"(?:^|\s)(?:\S*/)?rm\s")
_LISTS = re.compile(r"/var/lib/(?:apt|\{[^{}\s]*\bapt\b[^{}\s]*\})(?:/lists)?(?:[\s/*]|\Z)")


def script(instruction: Instruction) -> str:
    """What a RUN runs, its heredocs included."""
    if instruction.form is Form.EXEC:
        return " ".join(word.text for word in instruction.words)
    return "\n".join([instruction.arguments, *(h.content for h in instruction.heredocs)])


def check_packages(facts: Facts) -> Iterator[Problem]:
    """RUN instructions that use apt."""
    for instruction in facts.document.instructions:
        if instruction.keyword != "RUN":
            continue
        text = script(instruction)
        verbs = _verbs(text)
        if not verbs:
            continue
        if "update" in verbs and verbs == {"update"}:
            yield warning(
                "AptUpdateAlone",
                "apt-get update is a step of its own, which the cache keeps while lists grow old.",
                instruction,
                "Install in the same RUN: apt-get update && apt-get install.",
            )
        elif "update" not in verbs and not _mounted(instruction):
            yield warning(
                "AptInstallWithoutUpdate",
                "apt-get install uses whatever lists an earlier step left.",
                instruction,
                "Write apt-get update && apt-get install.",
            )
        kept = not _removes_lists(text) and not _mounted(instruction)
        if "update" in verbs and kept and instruction.stage in facts.shipped:
            yield warning(
                "AptListsKept",
                "apt's lists stay in the layer.",
                instruction,
                "End the same RUN with rm -rf /var/lib/apt/lists/*, or mount a cache there.",
            )


def _verbs(text: str) -> set[str]:
    found = set()
    for command in _SPLIT.split(text):
        match = _APT.search(command)
        verb = _VERB.search(match["rest"]) if match else None
        if verb is not None:
            found.add(verb["verb"])
    return found


def _removes_lists(text: str) -> bool:
    return "apt-get distclean" in text or any(
        _REMOVES.search(command) and _LISTS.search(command) for command in _SPLIT.split(text)
    )


def _mounted(instruction: Instruction) -> bool:
    """Whether the lists are in a mount and not in the layer."""
    for flag in instruction.all_flags("mount"):
        target = parse_mount(flag).field("target")
        if target is not None and (target.value or "").rstrip("/") in (
            "/var/lib/apt",
            "/var/lib/apt/lists",
            "/var/lib",
            "/var",
        ):
            return True
    return False
