"""The build context: the files of a folder that a builder is sent."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from layerscope.dockerfile.ignore import (
    IgnorePattern,
    IgnorePatternError,
    IgnoreRules,
    Matched,
    parse_ignore,
)
from layerscope.errors import BadInputError, NotFoundError, UsageError
from layerscope.text import visible

IGNORE_FILE = ".dockerignore"


@dataclass(frozen=True, slots=True)
class ContextFolder:
    """A folder that can be sent to a builder, and what is left out of it.

    Attributes:
        root: The folder.
        ignore_file: The file with the rules; None if there is none.
        rules: The rules.
    """

    root: Path
    ignore_file: Path | None
    rules: IgnoreRules


@dataclass(frozen=True, slots=True)
class ContextEntry:
    """A file, folder or link of a context.

    Attributes:
        path: Its path in the context; bytes that are not UTF-8 are lone surrogates.
        status: What lstat(2) says of it.
        for_builder: Whether the rules leave it out, and it is sent all the same because the
            builder reads it: the Dockerfile and `.dockerignore`.
    """

    path: str
    status: os.stat_result
    for_builder: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def size(self) -> int:
        """Bytes of a regular file; 0 for others."""
        return self.status.st_size if self.is_file else 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a rule leaves out of a context.

    Attributes:
        pattern: The rule.
        count: How many files and folders; a folder that nothing is sent of is one.
        example: Path of the first of them, with a slash at its end if it is a folder.
    """

    pattern: IgnorePattern
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a builder is sent.

    Attributes:
        root: The folder.
        ignore_file: The file with the rules; None if there is none.
        rules: The rules.
        entries: Everything that is sent, folders before what is in them, each folder's in the order
            of their bytes.
        ignored: How many files and folders are left out; a folder that nothing is sent of is one.
        left_out: The same by the rule that decided it, in the order of the rules.
    """

    root: Path
    ignore_file: Path | None
    rules: IgnoreRules
    entries: list[ContextEntry] = field(repr=False)
    ignored: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def files(self) -> int:
        """How many regular files there are."""
        return sum(entry.is_file for entry in self.entries)

    @property
    def size(self) -> int:
        """Their bytes; a file with several names counts once."""
        seen: set[tuple[int, int]] = set()
        total = 0
        for entry in self.entries:
            if entry.is_file:
                inode = (entry.status.st_dev, entry.status.st_ino)
                if entry.status.st_nlink < 2 or inode not in seen:
                    total += entry.size
                    seen.add(inode)
        return total

    def unreadable(self) -> Iterator[ContextEntry]:
        """The files whose content this process may not read, as far as their modes tell."""
        for entry in self.entries:
            # What everybody may read needs no question.
            if entry.is_file and entry.status.st_mode & 0o444 != 0o444:
                path = os.path.join(self.root, entry.path)  # noqa: PTH118 - there may be many
                if not os.access(path, os.R_OK, effective_ids=True):
                    yield entry

    def largest(self, count: int = 10) -> list[ContextEntry]:
        """The largest files, largest first."""
        files = [entry for entry in self.entries if entry.is_file]
        return sorted(files, key=lambda entry: (-entry.size, entry.path))[:count]


def ignore_file(root: Path, dockerfile: Path | None = None) -> Path | None:
    """The file with the rules for a build, if there is one.

    That of the Dockerfile, `NAME.dockerignore` beside it, goes before the context's own.
    """
    candidates = [root / IGNORE_FILE]
    if dockerfile is not None:
        candidates.insert(0, dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}"))
    return next((path for path in candidates if path.is_file()), None)


def load_rules(path: Path | None) -> IgnoreRules:
    """Reads the rules in a file.

    Raises:
        BadInputError: A pattern cannot be understood.
        UsageError: The file cannot be read.
    """
    if path is None:
        return IgnoreRules(())
    name = visible(str(path))
    try:
        return parse_ignore(path.read_bytes().decode("utf-8", "surrogateescape"))
    except OSError as error:
        raise UsageError(f"{name} cannot be read ({error.strerror}).") from None
    except IgnorePatternError as error:
        problem = f"line {error.line + 1} is no valid pattern: {visible(error.pattern)}"
        raise BadInputError(name, None, problem) from None


def open_context(root: Path, dockerfile: Path | None = None) -> ContextFolder:
    """Reads the rules for a build, and nothing else.

    Args:
        root: The folder.
        dockerfile: The Dockerfile, which may lie elsewhere.

    Raises:
        NotFoundError: There is no such folder.
        BadInputError: A rule cannot be understood.
        UsageError: The file with the rules cannot be read.
    """
    if not root.is_dir():
        raise NotFoundError(f"There is no folder {visible(str(root))}.")
    rules_file = ignore_file(root, dockerfile)
    return ContextFolder(root, rules_file, load_rules(rules_file))


def read_context(
    root: Path,
    dockerfile: Path | None = None,
    *,
    stopped: Callable[[], None] | None = None,
    closed: Callable[[str], object] | None = None,
) -> Context:
    """Finds what is sent to a builder. No file is read but that with the rules.

    Args:
        root: The folder.
        dockerfile: The Dockerfile, which may lie elsewhere.
        stopped: Called for each folder; raises to stop.
        closed: Told the path of a folder that may not be read, which is sent without what is in
            it then; without one, that is an error.

    Raises:
        NotFoundError: There is no such folder.
        BadInputError: A rule cannot be understood.
        UsageError: A file cannot be read.
    """
    opened = open_context(root, dockerfile)
    walk = _Walk(opened.rules, _kept(root, dockerfile), stopped, closed)
    walk.folder("", str(root), ())
    return Context(
        root, opened.ignore_file, opened.rules, walk.entries, walk.ignored, walk.left_out
    )


def sends_below(context: ContextFolder, path: str) -> bool:
    """Whether anything below a folder that is left out is sent all the same.

    Args:
        context: The context.
        path: The folder's path in it.
    """
    if not context.rules.may_return_below(path):
        return False
    parts = path.split("/")
    above: Matched = ()
    for depth in range(1, len(parts) + 1):
        _, above = context.rules.decide("/".join(parts[:depth]), above)
    walk = _Walk(context.rules, frozenset(), None)
    try:
        walk.folder(path, str(context.root / path), above)
    except UsageError:
        return False
    return bool(walk.entries)


def sent_names(context: ContextFolder, folder: str = "") -> list[str]:
    """Names in a folder of the context that are sent, for completion; folders end with a slash.

    Args:
        context: The context.
        folder: The folder's path in it, empty for its root.
    """
    try:
        with os.scandir(context.root / folder) as listing:
            # What is behind a link may lie elsewhere, so it is named and not looked into.
            found = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in listing)
    except OSError:
        return []
    names = []
    for name, is_folder in found:
        path = f"{folder}/{name}" if folder else name
        if context.rules.ignores(path) is None or (is_folder and sends_below(context, path)):
            names.append(name + "/" * is_folder)
    return names


def _kept(root: Path, dockerfile: Path | None) -> frozenset[str]:
    """Paths that are sent whatever the rules say."""
    kept = {IGNORE_FILE}
    path = root / "Dockerfile" if dockerfile is None else dockerfile
    try:
        kept.add(path.resolve().relative_to(root.resolve()).as_posix())
    except ValueError:
        # It lies elsewhere and is sent by itself.
        pass
    return frozenset(kept)


class _Walk:
    def __init__(
        self,
        rules: IgnoreRules,
        kept: frozenset[str],
        stopped: Callable[[], None] | None,
        closed: Callable[[str], object] | None = None,
    ) -> None:
        self.rules = rules
        self.kept = kept
        self.kept_folders = {
            path[:place] for path in kept for place, char in enumerate(path) if char == "/"
        }
        self.stopped = stopped
        self.closed = closed
        self.entries: list[ContextEntry] = []
        #: Folders that so far are sent for the builder alone, and their numbers in `entries`.
        self.builders: dict[str, int] = {}
        self._left: dict[IgnorePattern, LeftOut] = {}

    @property
    def ignored(self) -> int:
        """How many files and folders are left out."""
        return sum(left.count for left in self._left.values())

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The same by rule."""
        return tuple(sorted(self._left.values(), key=lambda left: left.pattern.line))

    def leave_out(self, pattern: IgnorePattern, entry: ContextEntry) -> None:
        """Notes what is not sent."""
        known = self._left.get(pattern)
        example = known.example if known else entry.path + "/" * entry.is_folder
        self._left[pattern] = LeftOut(pattern, known.count + 1 if known else 1, example)

    def folder(self, path: str, full: str, above: Matched) -> None:
        """Everything in a folder.

        Args:
            path: Its path in the context, empty for the context itself.
            full: Its path.
            above: What the rules say of it.
        """
        todo = [self.children(path, full, above)]
        # Folders that the rules leave out and that are sent if something in them is.
        pending: list[tuple[int, ContextEntry, IgnorePattern]] = []
        while todo:
            found = next(todo[-1], None)
            if found is None:
                todo.pop()
                if pending and pending[-1][0] == len(todo):
                    _, folder, pattern = pending.pop()
                    self.leave_out(pattern, folder)
                continue
            entry, child, decided, matched = found
            if decided is not None and not (entry.is_folder and self.descends(entry.path)):
                if entry.path not in self.kept:
                    self.leave_out(decided, entry)
                    continue
                entry = ContextEntry(entry.path, entry.status, for_builder=True)
            if decided is not None and entry.is_folder:
                pending.append((len(todo), entry, decided))
            else:
                for _, waiting, _ in pending:
                    self.builders[waiting.path] = len(self.entries)
                    self.entries.append(replace(waiting, for_builder=True))
                pending.clear()
                self.add(entry)
            if entry.is_folder:
                todo.append(self.children(entry.path, child, matched))

    def add(self, entry: ContextEntry) -> None:
        """Notes an entry; folders above it are no longer sent for the builder alone."""
        self.entries.append(entry)
        if self.builders and not entry.for_builder:
            for place, char in enumerate(entry.path):
                number = self.builders.pop(entry.path[:place], None) if char == "/" else None
                if number is not None:
                    self.entries[number] = replace(self.entries[number], for_builder=False)

    def descends(self, path: str) -> bool:
        """Whether to look into a folder that is left out."""
        return path in self.kept_folders or self.rules.may_return_below(path)

    def children(
        self, path: str, full: str, above: Matched
    ) -> Iterator[tuple[ContextEntry, str, IgnorePattern | None, Matched]]:
        if self.stopped is not None:
            self.stopped()
        try:
            with os.scandir(full) as listing:
                names = sorted(listing, key=lambda found: os.fsencode(found.name))
        except (FileNotFoundError, NotADirectoryError):
            # It has gone since the folder above was read.
            return
        except OSError as error:
            if self.closed is not None and path:
                self.closed(path)
                return
            raise UsageError(
                f"{visible(full)} cannot be read ({error.strerror}).",
                "Let it be read, or leave it out by a line in .dockerignore.",
            ) from None
        for found in names:
            relative = f"{path}/{found.name}" if path else found.name
            decided, matched = self.rules.decide(relative, above)
            try:
                status = found.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                if self.closed is not None:
                    self.closed(relative)
                    continue
                raise UsageError(
                    f"{visible(found.path)} cannot be read ({error.strerror})."
                ) from None
            if stat.S_ISSOCK(status.st_mode):
                # Nothing could be made of it in an image.
                continue
            yield ContextEntry(relative, status), found.path, decided, matched
