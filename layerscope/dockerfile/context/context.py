"""The build context: a folder's files that are sent to a builder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.dockerfile.context.conventions import PODMAN, Conventions, conventions
from layerscope.dockerfile.context.ignore import (
    MOBY,
    IgnorePattern,
    IgnorePatternError,
    IgnoreRules,
    Matched,
    Reading,
    parse_ignore,
)
from layerscope.errors import BadInputError, NotFoundError, UsageError
from layerscope.text import visible


@dataclass(frozen=True, slots=True)
class ContextFolder:
    """A folder that can be sent to a builder, and the rules that exclude files in it."""

    root: Path
    ignore_file: Path | None
    rules: IgnoreRules


@dataclass(frozen=True, slots=True)
class ContextEntry:
    path: str  # Its path in the context; bytes that are not UTF-8 are lone surrogates.
    status: os.stat_result  # Its lstat(2) result.
    #: Whether the rules exclude it but it is sent because the builder reads it: the Dockerfile
    #: and `.dockerignore`.
    for_builder: bool = False

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def size(self) -> int:
        return self.status.st_size if self.is_file else 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    pattern: IgnorePattern  # The rule.
    count: int  # The number of files and folders; a folder excluded as a whole counts as one.
    example: str  # Path of the first one, with a trailing slash for a folder.


@dataclass(frozen=True, slots=True)
class Context(ContextFolder):
    #: Everything that is sent: folders before their content, each folder in byte order.
    entries: list[ContextEntry] = field(repr=False)
    left_out: tuple[LeftOut, ...]  # What each rule excludes, in the order of the rules.

    @property
    def ignored(self) -> int:
        """The number of excluded files and folders, counted as in `LeftOut`."""
        return sum(left.count for left in self.left_out)

    @property
    def files(self) -> int:
        return sum(entry.is_file for entry in self.entries)

    @property
    def size(self) -> int:
        """Total bytes; a file with several names counts once."""
        files = [entry for entry in self.entries if entry.is_file]
        several = [entry for entry in files if entry.status.st_nlink > 1]
        once = {(each.status.st_dev, each.status.st_ino): each.size for each in several}
        return sum(once.values()) + sum(e.size for e in files if e.status.st_nlink < 2)

    def unreadable(self) -> Iterator[ContextEntry]:
        """The files that this process cannot read, judging by their modes."""
        for entry in self.entries:
            # World-readable files need no system call.
            if entry.is_file and entry.status.st_mode & 0o444 != 0o444:
                path = os.path.join(self.root, entry.path)  # noqa: PTH118 - there may be many
                if not os.access(path, os.R_OK, effective_ids=True):
                    yield entry

    def largest(self, count: int = 10) -> list[ContextEntry]:
        files = [entry for entry in self.entries if entry.is_file]
        return sorted(files, key=lambda entry: (-entry.size, entry.path))[:count]


def load_rules(path: Path | None, reading: Reading = MOBY) -> IgnoreRules:
    """Reads the rules in a file.

    Raises BadInputError if a pattern is invalid and UsageError if the file cannot be read.
    """
    if path is None:
        return IgnoreRules(())
    name = visible(str(path))
    try:
        return parse_ignore(read_file(path).decode("utf-8", "surrogateescape"), reading)
    except OSError as error:
        raise UsageError(f"{name} cannot be read ({error.strerror}).") from None
    except IgnorePatternError as error:
        problem = f"line {error.line + 1} is not a valid pattern: {visible(error.pattern)}"
        raise BadInputError(name, None, problem) from None


def open_context(
    root: Path, dockerfile: Path | None = None, builder: str = "", rules: Path | None = None
) -> ContextFolder:
    """Reads only the rules for a build. The Dockerfile may be outside the folder.

    Unless the rules' file is given, the builder determines it; see `conventions`.

    Raises NotFoundError if there is no such folder, BadInputError if a rule is invalid, and
    UsageError if the file with the rules cannot be read.
    """
    if not root.is_dir():
        raise NotFoundError(f"There is no folder {visible(str(root))}.")
    which = conventions(builder, root, dockerfile)
    rules_file = rules or which.ignore_file(root, dockerfile)
    return ContextFolder(root, rules_file, load_rules(rules_file, which.reading))


def read_context(
    root: Path,
    dockerfile: Path | None = None,
    builder: str = "",
    *,
    rules: Path | None = None,
    stopped: Callable[[], None] | None = None,
    closed: Callable[[str], object] | None = None,
) -> Context:
    """Finds the files that are sent to a builder. Reads only the file with the rules.

    `stopped` is called for each folder and raises to stop. `closed` is called with the path of an
    unreadable folder, which is then sent without its content; by default, that is an error.

    For everything else, see `open_context`.
    """
    opened = open_context(root, dockerfile, builder, rules)
    kept = _kept(root, dockerfile, conventions(builder, root, dockerfile))
    walk = _Walk(opened.rules, kept, stopped, closed)
    walk.folder("", str(root), ())
    return Context(root, opened.ignore_file, opened.rules, walk.entries, walk.left_out)


def is_sent(context: ContextFolder, path: str) -> bool:
    """Whether a path, or anything below it, is sent."""
    decided, above = context.rules.decide_from_root(path)
    if decided is None:
        return True
    full = context.root / path
    if full.is_symlink() or not full.is_dir() or not context.rules.may_return_below(path):
        return False
    walk = _Walk(context.rules, frozenset(), None)
    try:
        walk.folder(path, str(context.root / path), above)
    except UsageError:
        return False
    return bool(walk.entries)


def sent_names(context: ContextFolder, folder: str = "") -> list[str]:
    """Names in a folder of the context that are sent, for completion; folders end with a slash."""
    try:
        with os.scandir(context.root / folder) as listing:
            # A link may lead outside the context, so it is not followed.
            found = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in listing)
    except OSError:
        return []
    names = []
    for name, is_folder in found:
        if is_sent(context, f"{folder}/{name}" if folder else name):
            names.append(name + "/" * is_folder)
    return names


def _kept(root: Path, dockerfile: Path | None, which: Conventions) -> frozenset[str]:
    # Podman is sent a list of the excluded paths, and needs no rules.
    kept = set() if which is PODMAN else set(which.inside)
    path = root / "Dockerfile" if dockerfile is None else dockerfile
    try:
        kept.add(path.resolve().relative_to(root.resolve()).as_posix())
    except ValueError:
        # It is outside the context and sent separately.
        pass
    return frozenset(kept)


def unreadable(path: str | Path, error: OSError) -> UsageError:
    return UsageError(
        f"{visible(str(path))} cannot be read ({error.strerror}).",
        "Make it readable, or exclude it from the build context.",
    )


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
        #: Folders that so far are sent only for the builder, and their numbers in `entries`.
        self.builders: dict[str, int] = {}
        self._left: dict[IgnorePattern, LeftOut] = {}

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        return tuple(sorted(self._left.values(), key=lambda left: left.pattern.line))

    def leave_out(self, pattern: IgnorePattern, entry: ContextEntry) -> None:
        known = self._left.get(pattern)
        example = known.example if known else entry.path + "/" * entry.is_folder
        self._left[pattern] = LeftOut(pattern, known.count + 1 if known else 1, example)

    def folder(self, path: str, full: str, above: Matched) -> None:
        """Collects everything in a folder.

        `path` is its path in the context, empty for the context itself.
        """
        todo = [self.children(path, full, above)]
        # Excluded folders, which are sent if anything in them is.
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
            if decided is not None and not (
                entry.is_folder
                and (entry.path in self.kept_folders or self.rules.may_return_below(entry.path))
            ):
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
        """Records an entry; folders above it are no longer sent only for the builder."""
        self.entries.append(entry)
        if self.builders and not entry.for_builder:
            for place, char in enumerate(entry.path):
                number = self.builders.pop(entry.path[:place], None) if char == "/" else None
                if number is not None:
                    self.entries[number] = replace(self.entries[number], for_builder=False)

    def children(
        self, path: str, full: str, above: Matched
    ) -> Iterator[tuple[ContextEntry, str, IgnorePattern | None, Matched]]:
        if self.stopped is not None:
            self.stopped()
        try:
            with os.scandir(full) as listing:
                names = sorted(listing, key=lambda found: os.fsencode(found.name))
        except (FileNotFoundError, NotADirectoryError):
            # It was removed after its parent was read.
            return
        except OSError as error:
            if self.closed is not None and path:
                self.closed(path)
                return
            raise unreadable(full, error) from None
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
                raise unreadable(found.path, error) from None
            if stat.S_ISSOCK(status.st_mode):
                # An image cannot contain sockets.
                continue
            yield ContextEntry(relative, status), found.path, decided, matched
