"""Checks whether copied files are in the build context."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from layerscope.dockerfile.checks.facts import Facts, nearest
from layerscope.dockerfile.checks.problems import Problem, error, warning
from layerscope.dockerfile.context.context import ContextFolder, is_sent
from layerscope.dockerfile.context.ignore import in_context
from layerscope.dockerfile.syntax.document import Instruction, Word
from layerscope.dockerfile.syntax.expand import ExpansionError
from layerscope.dockerfile.syntax.mounts import mounts_of
from layerscope.dockerfile.syntax.source import Span
from layerscope.patterns import GO_MATCH, PatternError, path_matcher

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.I)
_WILD = re.compile(r"[*?\[]")


def check_files(facts: Facts) -> Iterator[Problem]:
    """Sources of COPY, ADD and bind mounts that are missing or excluded."""
    if facts.world.context is None:
        return
    files = _Files(facts.world.context)
    for instruction in facts.document.instructions:
        if instruction.keyword in ("COPY", "ADD") and instruction.flag("from") is None:
            for word in instruction.sources:
                yield from _source(facts, files, instruction, word)
        for mount in mounts_of(instruction):
            source = mount.field("source")
            if mount.type == "bind" and source and source.value and not mount.field("from"):
                word = Word(source.value, source.value_span)
                yield from _source(facts, files, instruction, word)


class _Files:
    """The context, by path; only examines requested paths."""

    def __init__(self, context: ContextFolder) -> None:
        self.context = context
        self.root = context.root

    def has(self, path: str) -> bool:
        """Whether a path, or anything below it, is sent to the builder."""
        if path in (".", "/"):
            return True
        if self.exists(path) and is_sent(self.context, path) and not self.through_link(path):
            return True
        real = self.real(path)
        return real is not None and (real == "." or is_sent(self.context, real))

    def real(self, path: str) -> str | None:
        """The path with links resolved; None if it leaves the context."""
        try:
            root = self.root.resolve()
            return (self.root / path).resolve(strict=True).relative_to(root).as_posix()
        except (OSError, ValueError, RuntimeError):
            return None

    def through_link(self, path: str) -> bool:
        parts = path.split("/")
        return any((self.root / "/".join(parts[:n])).is_symlink() for n in range(1, len(parts)))

    def exists(self, path: str) -> bool:
        """Whether a path is in the folder, sent or not."""
        return os.path.lexists(self.root / path)

    def matches(self, pattern: str) -> bool:
        """Whether anything that is sent matches a pattern with wildcards."""
        parts = pattern.split("/")
        if "**" in parts:
            return True
        found = [""]
        for part in parts:
            try:
                fits = path_matcher(part, GO_MATCH)
            except PatternError:
                return False
            found = [
                path
                for folder in found
                for path in self.children(folder)
                if fits(path.rpartition("/")[2])
            ]
        return any(is_sent(self.context, path) for path in found)

    def children(self, folder: str) -> list[str]:
        try:
            names = os.listdir(self.root / folder)  # noqa: PTH208 - names are needed
        except OSError:
            return []
        return [f"{folder}/{name}" if folder else name for name in names]


def _source(facts: Facts, files: _Files, instruction: Instruction, word: Word) -> Iterator[Problem]:
    if _REMOTE.match(word.text):
        return
    try:
        found = facts.scopes.expand(instruction, word.text)
    except ExpansionError:
        return
    if found.unset:
        # It depends on the build arguments.
        return
    path = in_context(found.text)
    if _REMOTE.match(found.text):
        return
    if _WILD.search(path):
        if not files.matches(path):
            message = f"Nothing in the build context matches {found.text}."
            yield warning("CopySourceMissing", message, word.span)
        return
    if "\0" in path or files.has(path):
        return
    yield _missing(files, found.text, path, word.span)


def _missing(files: _Files, written: str, path: str, span: Span) -> Problem:
    rule = files.context.rules.ignores(path)
    if rule is not None and files.exists(path):
        name = files.context.ignore_file.name if files.context.ignore_file else ""
        message = f"{written} is excluded by line {rule.line + 1} of {name}: {rule.text}."
        hint = f"Add a line !{path} below that one."
        return error("CopyIgnoredFile", message, span, hint)
    if files.exists(path) and files.real(path) is None:
        message = f"{written} is a link that leads outside the build context or to nothing."
        if not files.through_link(path):
            message = f"{written} is a link to nothing."
        return error("CopySourceMissing", message, span)
    folder = "" if str(files.root) == "." else f" {files.root}"
    message = f"{written} is not in the build context{folder}."
    hint = nearest(path, files.children(path.rpartition("/")[0]))
    return error("CopySourceMissing", message, span, hint)
