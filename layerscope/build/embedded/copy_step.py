"""A COPY or ADD: its flags, sources and destination, with variables expanded."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.build.embedded.metadata import Scope, StepError, clean
from layerscope.build.embedded.owners import owner_parts, parse_mode, parse_owner
from layerscope.build.embedded.picked import EPOCH, Copy, Picked
from layerscope.build.embedded.sources import (
    FOLDER,
    ContextSource,
    DataSource,
    EmptySource,
    Node,
    Origin,
    Source,
    is_wild,
    matching,
    resolve,
    whole,
)
from layerscope.build.embedded.state import State
from layerscope.build.fields import REMOTE
from layerscope.dockerfile.checks.support import GIT
from layerscope.dockerfile.context.ignore import (
    IgnorePatternError,
    IgnoreRules,
    in_context,
    parse_ignore,
)
from layerscope.dockerfile.context.ignore import clean as clean_path
from layerscope.dockerfile.syntax.document import Instruction
from layerscope.filesystem.entry_type import EntryType
from layerscope.patterns import PatternError
from layerscope.redaction import without_logins
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.build.embedded.git import Repository


@dataclass(frozen=True, slots=True)
class World:
    """What a step can use besides the image below it."""

    context: ContextSource
    origin: Callable[[], Origin] | None  # The image or stage of `--from`.
    folder: Path  # In the store, for temporary files.
    agent: str | None  # The socket of an SSH agent.
    stack: ExitStack  # Resources of the step.
    check: Callable[[], None]
    latest: int | None  # SOURCE_DATE_EPOCH, or None.


class CopyStep:
    """A COPY or ADD step. All methods raise StepError for what is not possible."""

    def __init__(self, instruction: Instruction, state: State, scope: Scope, world: World) -> None:
        self._instruction, self._state, self._scope = instruction, state, scope
        self._world = world
        if not instruction.words or len(instruction.words) + len(instruction.heredocs) < 2:
            raise StepError(
                f"{instruction.keyword} needs a source and a destination.",
                f"Write {instruction.keyword} SOURCE DESTINATION.",
            )
        self._sources = [self._text(word.text) for word in instruction.sources]
        self._destination = self._text(instruction.words[-1].text)
        self._owner = self._flag("chown")
        self._mode = self._flag("chmod")
        self._checksum = self._flag("checksum")
        self._parents = self._is_set("parents")
        self._excludes = [
            self._text(flag.value or "") for flag in instruction.flags if flag.name == "exclude"
        ]
        #: Whether the layer does not depend on the layers below.
        self.link = self._is_set("link")
        self._picked: list[Picked] = []
        self._later: list[Callable[[], Picked]] = []  # Fetched if the step is not cached.

    def _text(self, text: str) -> str:
        return self._scope.expansion(self._state, text).text

    def _flag(self, name: str) -> str:
        flag = self._instruction.flag(name)
        if flag is None:
            return ""
        if not flag.value:
            raise StepError(f"--{name} has no value.")
        return self._text(flag.value)

    def _is_set(self, name: str) -> bool:
        flag = self._instruction.flag(name)
        if flag is None:
            return False
        value = self._text(flag.value).lower() if flag.value is not None else "true"
        if value not in ("true", "false", "1", "0"):
            raise StepError(f"--{name}={visible(value)} is neither true nor false.")
        return value in ("true", "1")

    @property
    def text(self) -> str:
        """Returns its entry in the history."""
        # BuildKit's has no others.
        flags = ["--parents"] if self._parents else []
        values = {"chown": self._owner, "chmod": self._mode}
        flags += [f"--{name}={value}" for name, value in values.items() if value]
        heredocs = [f"<<{heredoc.name}" for heredoc in self._instruction.heredocs]
        words = [*flags, *self._sources, *heredocs, self._destination]
        return clean(without_logins(f"{self._instruction.keyword} {' '.join(words)} # buildkit"))

    @property
    def details(self) -> str:
        """Returns what the history entry does not show."""
        flags = self._instruction.flags
        values = [None if flag.value is None else self._text(flag.value) for flag in flags]
        return json.dumps([[flag.name, value] for flag, value in zip(flags, values, strict=True)])

    @property
    def depends(self) -> bool:
        """Whether the layer depends on the layers below."""
        owner = self._owner.replace(":", "")
        return not self.link or bool(owner and not owner.isdecimal())

    @property
    def stamps(self) -> Sequence[str]:
        """Returns values that change if the content of a source may have changed."""
        if self._origin is not None:
            return (self._origin[1],)
        return (*self._pick(), str(self._world.latest))

    @cached_property
    def _origin(self) -> Origin | None:
        return None if self._world.origin is None else self._world.origin()

    def check(self) -> None:
        """Checks what is known before anything runs."""
        self._absolute()
        self._excluded()
        if self._mode:
            parse_mode(self._mode)
        if self._owner:
            owner_parts(self._owner)
        count = len(self._instruction.heredocs)
        for text in self._sources:
            if self._is_repository(text):
                self._repository(text)
                count += 1
            elif self._is_remote(text):
                self._checked_url(text)
                count += 1
            elif self._checksum:
                raise StepError("--checksum is for downloads and repositories only.")
            elif self._world.origin is None:
                count += len(list(self._matching(self._world.context, text)))
        if self._world.origin is None:
            self._check_count(count)

    def check_origin(self) -> None:
        """Checks that the image to copy from has the sources."""
        if self._origin is not None:
            source = self._origin[0]()
            self._check_count(
                sum(len(list(self._matching(source, text))) for text in self._sources)
            )

    def _check_count(self, count: int) -> None:
        """Raises StepError for an invalid number of sources."""
        shown = visible(self._destination)
        if not count:
            raise StepError(f"Nothing matches {visible(' '.join(self._sources))}.")
        if count > 1 and not self._absolute().endswith("/"):
            raise StepError(
                f"{count} files are copied to {shown}, which is not written as a folder.",
                f"Write {shown}/.",
            )

    def copy(self, view: Callable[[], Source]) -> Copy:
        """Returns what to copy into an image; `view` is its current content."""
        if self._origin is not None:
            self._pick()
        self._picked += [opened() for opened in self._later]
        self._check_count(len(self._picked))
        named = any(part and not part.isdecimal() for part in self._owner.split(":"))
        owner = (
            parse_owner(self._owner, view() if named else EmptySource()) if self._owner else None
        )
        unpacks = self._instruction.keyword == "ADD" and self._unpacks()
        return Copy(
            [self._unpacked(each) if unpacks else each for each in self._picked],
            self._absolute(),
            EmptySource() if self.link else view(),
            owner,
            parse_mode(self._mode) if self._mode else None,
            # As in BuildKit, if --chmod has digits.
            int(self._mode, 8) if self._mode.isdecimal() else FOLDER.mode,
            self._excluded(),
            self._parents,
            self._world.latest,
        )

    def _excluded(self) -> IgnoreRules:
        try:
            return parse_ignore("\n".join(self._excludes))
        except IgnorePatternError as error:
            raise StepError(f"--exclude={visible(error.pattern)} is not a pattern.") from None

    def _unpacks(self) -> bool:
        return self._instruction.flag("unpack") is None or self._is_set("unpack")

    def _unpacked(self, picked: Picked) -> Picked:
        """Replaces an archive with its content; returns other files unchanged."""
        remote = isinstance(picked.source, DataSource)
        if remote and self._instruction.flag("unpack") is None:
            return picked
        # Not at the top, as below: a cached step does not need numpy.
        from layerscope.build.embedded.archives import open_archive

        name = visible(picked.name)
        archive = open_archive(name, picked.node, self._world.folder, self._world.check)
        if archive is None:
            return picked
        self._world.stack.callback(archive.close)
        return Picked(archive, b"", FOLDER, picked.name, archive=True)

    def _absolute(self) -> str:
        text = self._destination
        if not text:
            raise StepError(f"{self._instruction.keyword} has an empty destination.")
        folder = text.endswith("/") or posixpath.basename(text) in (".", "..")
        path = posixpath.join("/", self._state.workdir, text)
        return clean_path(path).rstrip("/") + "/" * folder or "/"

    # Sources.

    def _pick(self) -> list[str]:
        """Finds the sources; returns values that change if their content may have changed."""
        stamps = []
        heredocs: dict[bytes, tuple[Node, str]] = {}
        for heredoc in self._instruction.heredocs:
            text = heredoc.content
            if heredoc.expand:
                text = self._scope.expansion(self._state, text, quotes=False).text
            data = text.encode("utf-8", "surrogateescape")
            content = partial(whole, data)
            node = Node(EntryType.FILE, 0o644, 0, 0, len(data), EPOCH, content)
            name = heredoc.name.encode("utf-8", "surrogateescape")
            heredocs[name] = node, hashlib.sha256(data).hexdigest()
        source = self._world.context if self._origin is None else self._origin[0]()
        for text in self._sources:
            if self._is_repository(text):
                stamps.append(self._add_repository(text))
            elif self._is_remote(text):
                stamps.append(self._download(text))
            else:
                for picked in self._matching(source, text):
                    self._picked.append(picked)
                    if self._origin is None:
                        stamps.append(f"{visible(picked.name)} {source.stamp(picked.path)}")
        files = DataSource(heredocs)
        for name, (node, digest) in heredocs.items():
            self._picked.append(Picked(files, name, node, name))
            stamps.append(digest)
        return stamps

    def _is_repository(self, text: str) -> bool:
        return self._instruction.keyword == "ADD" and GIT.match(text) is not None

    def _is_remote(self, text: str) -> bool:
        return self._world.origin is None and REMOTE.match(text) is not None

    def _repository(self, text: str) -> Repository:
        # Not at the top, as below: few steps need it.
        from layerscope.build.embedded.git import parse_repository

        return parse_repository(text, self._checksum, keep=self._is_set("keep-git-dir"))

    def _add_repository(self, text: str) -> str:
        from layerscope.build.embedded.git import Git, folder_in

        repository = self._repository(text)
        git = Git(self._world.folder / "sandbox", self._world.agent, self._world.check)
        commit = git.commit(repository)

        def opened() -> Picked:
            source = git.source(repository, commit, self._world.stack)
            return Picked(source, *folder_in(repository, source), b"")

        self._later.append(opened)
        return f"{commit} {repository}"

    def _checked_url(self, url: str) -> str:
        """Returns the checksum of a download, or ""."""
        from layerscope.build.embedded.archives import name_in, parse_checksum

        if self._instruction.keyword != "ADD" or not url.startswith(("http://", "https://")):
            raise StepError(f"{visible(url)} cannot be copied.", "ADD downloads http and https.")
        if self._destination.endswith("/") and not name_in(url):
            raise StepError(f"{visible(url)} has no file name.", "Name the destination's file.")
        return parse_checksum(self._checksum) if self._checksum else ""

    def _download(self, url: str) -> str:
        from layerscope.build.embedded.archives import downloaded, name_in

        file = downloaded(url, self._checked_url(url), self._world.folder, self._world.check)
        source, node, digest = self._world.stack.enter_context(file)
        name = name_in(url) or b"download"
        self._picked.append(Picked(source, name, node, name))
        return digest

    def _matching(self, source: Source, text: str) -> Iterator[Picked]:
        kept, pivot, rest = text.partition("/./") if self._parents else ("", "", text)
        path = in_context(f"{kept}/{rest}" if pivot else text)
        if path == ".":
            yield Picked(source, b"", FOLDER, b"")
            return
        paths = [path.encode("utf-8", "surrogateescape")]
        if is_wild(path):
            try:
                paths = matching(source, path, deep=self._parents)
            except PatternError as error:
                raise StepError(f"{visible(text)} is not a pattern: {error}") from None
        start = in_context(kept) if pivot else "."
        skip = 0 if start == "." else len(start.encode("utf-8", "surrogateescape")) + 1
        found = is_wild(path)
        for each in paths:
            real, node = resolve(source, each)
            if node is not None:
                found = True
                above = tuple(_above(source, each, skip)) if self._parents else ()
                yield Picked(source, real, node, each.rpartition(b"/")[2], above)
        if not found:
            raise self._missing(text, path)

    def _missing(self, text: str, path: str) -> StepError:
        if self._origin is not None:
            flag = self._instruction.flag("from")
            name = visible(flag.value or "") if flag is not None else "the image"
            return StepError(f"{visible(text)} is not in {name}.")
        return missing(self._world.context, text, path)


def _above(source: Source, path: bytes, skip: int) -> Iterator[tuple[bytes, Node]]:
    """Yields the parent folders that `--parents` keeps, after the pivot point."""
    place = path.find(b"/", skip)
    while place >= 0:
        yield path[skip:place], source.find(path[:place]) or FOLDER
        place = path.find(b"/", place + 1)


def missing(source: ContextSource, text: str, path: str) -> StepError:
    """Returns the error for a source that is not in the context."""
    context = source.context
    rule = context.rules.ignores(path)
    if rule is not None and (context.root / path).exists():
        name = context.ignore_file.name if context.ignore_file else "the rules"
        return StepError(
            f"{visible(text)} is excluded by line {rule.line + 1} of {visible(name)}: "
            f"{visible(rule.text)}."
        )
    return StepError(f"{visible(text)} is not in the build context.")
