"""Checks of what is copied: whether it is in the build context."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from layerscope.dockerfile.context import ContextFolder, sends_below
from layerscope.dockerfile.document import Instruction, Word
from layerscope.dockerfile.expand import ExpansionError
from layerscope.dockerfile.facts import Facts, nearest
from layerscope.dockerfile.ignore import clean
from layerscope.dockerfile.mounts import parse_mount
from layerscope.dockerfile.problems import Problem, Severity, error
from layerscope.dockerfile.source import Span

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.I)
_WILD = re.compile(r"[*?\[]")


def check_files(facts: Facts) -> Iterator[Problem]:
    """Sources of COPY, ADD and bind mounts that are not there, or are left out."""
    if facts.world.context is None:
        return
    files = _Files(facts.world.context)
    for instruction in facts.document.instructions:
        if instruction.keyword in ("COPY", "ADD") and instruction.flag("from") is None:
            markers = {heredoc.marker for heredoc in instruction.heredocs}
            for word in instruction.words[:-1]:
                if word.span not in markers:
                    yield from _source(facts, files, instruction, word)
        elif instruction.keyword == "RUN":
            for flag in instruction.all_flags("mount"):
                mount = parse_mount(flag)
                source = mount.field("source")
                if mount.type == "bind" and source and source.value and not mount.field("from"):
                    word = Word(source.value, source.value_span)
                    yield from _source(facts, files, instruction, word)


class _Files:
    """The context, by path; only what is asked for is looked at."""

    def __init__(self, context: ContextFolder) -> None:
        self.context = context
        self.root = context.root

    def has(self, path: str) -> bool:
        """Whether a path, or something below it, is sent to the builder."""
        if path in (".", "/"):
            return True
        if self.exists(path) and self.sent(path) and not _link_above(self.root, path):
            return True
        real = self.real(path)
        return real is not None and (real == "." or self.sent(real))

    def sent(self, path: str) -> bool:
        """Whether the rules let a path through, or something below it."""
        if self.context.rules.ignores(path) is None:
            return True
        full = self.root / path
        return full.is_dir() and not full.is_symlink() and sends_below(self.context, path)

    def real(self, path: str) -> str | None:
        """The path without the links that it leads through; None if it leaves the context."""
        try:
            root = self.root.resolve()
            return (self.root / path).resolve(strict=True).relative_to(root).as_posix()
        except (OSError, ValueError, RuntimeError):
            return None

    def exists(self, path: str) -> bool:
        """Whether a path is in the folder, sent or not."""
        return os.path.lexists(self.root / path)

    def matches(self, pattern: str) -> bool:
        """Whether anything that is sent fits a pattern with wildcards."""
        parts = pattern.split("/")
        if "**" in parts:
            return True
        found = [""]
        for part in parts:
            regex = re.compile(fnmatch.translate(part.replace("[^", "[!")))
            found = [
                f"{folder}/{name}" if folder else name
                for folder in found
                for name in self.names(folder)
                if regex.match(name)
            ]
        return any(self.sent(path) for path in found)

    def names(self, folder: str) -> list[str]:
        """What is in a folder of the context."""
        try:
            return [found.name for found in (self.root / folder).iterdir()]
        except OSError:
            return []

    def beside(self, path: str) -> list[str]:
        """Paths in the folder that a path names."""
        folder = path.rpartition("/")[0]
        return [f"{folder}/{name}" if folder else name for name in self.names(folder)]


def _source(facts: Facts, files: _Files, instruction: Instruction, word: Word) -> Iterator[Problem]:
    if _REMOTE.match(word.text):
        return
    try:
        found = facts.scopes.expand(instruction, word.text)
    except ExpansionError:
        return
    if not all(use.found or use.guarded for use in found.references):
        # What the build is given decides.
        return
    path = clean("/" + found.text).removeprefix("/") or "."
    if _REMOTE.match(found.text):
        return
    if _WILD.search(path):
        if not files.matches(path):
            message = f"Nothing in the build context fits {found.text}."
            yield Problem("CopySourceMissing", Severity.WARNING, message, word.span)
        return
    if "\0" in path or files.has(path):
        return
    yield _missing(files, found.text, path, word.span)


def _missing(files: _Files, written: str, path: str, span: Span) -> Problem:
    rule = files.context.rules.ignores(path)
    if rule is not None and files.exists(path):
        name = files.context.ignore_file.name if files.context.ignore_file else ""
        message = f"{written} is left out by line {rule.line + 1} of {name}: {rule.text}."
        hint = f"Take it back with a line !{path} below that one."
        return error("CopyIgnoredFile", message, span, hint)
    if files.exists(path) and files.real(path) is None:
        message = f"{written} is a link that leads out of the build context or to nothing."
        if not _link_above(files.root, path):
            message = f"{written} is a link to nothing."
        return error("CopySourceMissing", message, span)
    hint = nearest(path, files.beside(path))
    folder = _shown(files.root)
    message = f"{written} is not in the build context{folder}."
    return error("CopySourceMissing", message, span, hint)


def _link_above(root: Path, path: str) -> bool:
    parts = path.split("/")
    return any((root / "/".join(parts[:n])).is_symlink() for n in range(1, len(parts)))


def _shown(root: Path) -> str:
    return "" if str(root) == "." else f" {root}"
