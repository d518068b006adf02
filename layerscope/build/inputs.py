"""What a build was made of, kept with its job, so that the next one can say what has changed.

Files are compared by their content, as builders do, and read only where their size, time or inode
tell that they may be others than last time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerscope.build.plan import plan_of
from layerscope.dockerfile.context import Context, ContextEntry
from layerscope.dockerfile.document import Document, Instruction
from layerscope.dockerfile.expand import ExpansionError
from layerscope.dockerfile.ignore import clean
from layerscope.dockerfile.scope import Scopes
from layerscope.images.cache_folder import write_whole

#: The file in a job's folder.
NAME = "inputs.json"

#: Bytes of files that are read for the sake of their digests; beyond, size and time must do.
_MOST = 2 << 30
_PIECE = 1 << 20
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.IGNORECASE)

#: Mode, size, time in nanoseconds, inode, and the digest of the content or an empty text.
Fingerprint = tuple[int, int, int, int, str]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build was made of.

    Attributes:
        files: For each path of the context, what it was.
        sources: For each step that copies from the context, the paths and patterns that it names.
        stages: For each step that copies from another stage, its name.
        arguments: Values of build arguments.
        bases: For each step that begins with an image, the id of that image.
    """

    files: Mapping[str, Fingerprint] = field(repr=False)
    sources: Mapping[int, tuple[str, ...]]
    stages: Mapping[int, str]
    arguments: Mapping[str, str]
    bases: Mapping[int, str] = field(default_factory=dict)


def gather(
    context: Context,
    document: Document,
    arguments: Mapping[str, str],
    before: Inputs | None,
    check: Callable[[], None],
) -> Inputs:
    """Looks at what a build is made of.

    Args:
        context: The build context.
        document: The Dockerfile.
        arguments: Build arguments.
        before: What the last build was made of; files that are as they were are not read again.
        check: Called for each file; raises to stop.
    """
    files: dict[str, Fingerprint] = {}
    left = _MOST
    known = {} if before is None else before.files
    for entry in context.entries:
        check()
        if entry.for_builder or entry.is_folder:
            continue
        status = entry.status
        facts = (status.st_mode, entry.size, status.st_mtime_ns, status.st_ino)
        old = known.get(entry.path)
        if old is not None and old[:4] == facts and old[4]:
            files[entry.path] = old
            continue
        digest = ""
        if entry.size <= left:
            left -= entry.size
            digest = _digest(context.root, entry)
        files[entry.path] = (*facts, digest)
    scopes = Scopes(document, arguments=arguments)
    sources: dict[int, tuple[str, ...]] = {}
    stages: dict[int, str] = {}
    for instruction in document.instructions:
        number = instruction.index + 1
        if instruction.keyword not in ("COPY", "ADD"):
            continue
        origin = instruction.flag("from")
        if origin is not None:
            stages[number] = (origin.value or "").lower()
        else:
            sources[number] = _sources(instruction, scopes)
    return Inputs(files, sources, stages, dict(arguments))


def base_names(document: Document, arguments: Mapping[str, str]) -> dict[int, str]:
    """For each step that begins with an image and not with another stage, the image's name."""
    return dict(plan_of(document, arguments=arguments).bases)


def changed_files(old: Inputs, new: Inputs, sources: tuple[str, ...]) -> list[str]:
    """Paths among some sources that are added, gone, or have become different, by name."""
    wanted = [_pattern(source) for source in sources]
    paths = {
        path
        for path in old.files.keys() | new.files.keys()
        if any(pattern.match(path) for pattern in wanted)
    }
    return sorted(path for path in paths if _differ(old.files.get(path), new.files.get(path)))


def keep(folder: Path, inputs: Inputs) -> None:
    """Keeps inputs in the folder of a job.

    Raises:
        OSError: That is not possible.
    """
    document = {
        "files": inputs.files,
        "sources": inputs.sources,
        "stages": inputs.stages,
        "arguments": inputs.arguments,
        "bases": inputs.bases,
    }
    write_whole(folder / NAME, json.dumps(document, separators=(",", ":")).encode("ascii"))


def kept(folder: Path) -> Inputs | None:
    """The inputs that were kept in the folder of a job; None if there are none."""
    try:
        document: dict[str, Any] = json.loads((folder / NAME).read_bytes())
        return Inputs(
            {str(path): _fingerprint(facts) for path, facts in document["files"].items()},
            {int(step): tuple(map(str, names)) for step, names in document["sources"].items()},
            {int(step): str(name) for step, name in document["stages"].items()},
            {str(name): str(value) for name, value in document["arguments"].items()},
            {int(step): str(image) for step, image in document["bases"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _fingerprint(facts: Any) -> Fingerprint:
    mode, size, time, inode, digest = facts
    return int(mode), int(size), int(time), int(inode), str(digest)


def _differ(old: Fingerprint | None, new: Fingerprint | None) -> bool:
    if old is None or new is None:
        return old is not new
    if old[:2] != new[:2]:
        return True
    # Builders look at the content and not at the time; so do we, where it was read.
    return old[4] != new[4] if old[4] and new[4] else old[2:4] != new[2:4]


def _digest(root: Path, entry: ContextEntry) -> str:
    """Digest of a file's content, or of where a link leads; empty if it cannot be read."""
    path = root / entry.path
    try:
        if not entry.is_file:
            return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()  # noqa: PTH115
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _sources(instruction: Instruction, scopes: Scopes) -> tuple[str, ...]:
    markers = {heredoc.marker for heredoc in instruction.heredocs}
    found = []
    for word in instruction.words[:-1]:
        if word.span in markers or _REMOTE.match(word.text):
            continue
        try:
            text = scopes.expand(instruction, word.text).text
        except ExpansionError:
            text = word.text
        found.append(clean("/" + text).removeprefix("/") or ".")
    return tuple(found)


def _pattern(source: str) -> re.Pattern[str]:
    """A source of COPY as a pattern over paths: what it names, and all below it."""
    if source in (".", ""):
        return re.compile("", re.DOTALL)
    parts = []
    for part in re.split(r"(\*\*|\*|\?|\[[^\]]*\])", source):
        if part == "**":
            parts.append(".*")
        elif part == "*":
            parts.append("[^/]*")
        elif part == "?":
            parts.append("[^/]")
        elif part.startswith("[") and part.endswith("]") and len(part) > 2:
            parts.append(part.replace("\\", "\\\\"))
        else:
            parts.append(re.escape(part))
    try:
        return re.compile("".join(parts) + r"(?:/.*)?\Z", re.DOTALL)
    except re.error:
        return re.compile(re.escape(source) + r"(?:/.*)?\Z", re.DOTALL)
