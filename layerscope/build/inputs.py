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
from layerscope.dockerfile.mounts import parse_mount
from layerscope.dockerfile.scope import Scopes
from layerscope.dockerfile.stages import Stages, find_stages
from layerscope.images.cache_folder import write_whole

#: The file in a job's folder.
NAME = "inputs.json"

#: Bytes of files that are read for the sake of their digests; beyond, size and time must do.
_MOST = 2 << 30
_PIECE = 1 << 20
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.IGNORECASE)

#: What a folder has for a digest.
FOLDER = "/"

#: Mode, size, time in nanoseconds, inode, and the digest of the content or an empty text.
Fingerprint = tuple[int, int, int, int, str]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build was made of.

    Attributes:
        files: For each path of the context, what it was.
        sources: For each step that takes files from the context, the paths and patterns that it
            names.
        stages: For each step that takes files from other stages, their names.
        arguments: Values of build arguments.
        bases: For each step that begins with an image, or copies from one, the id of that image.
        below: For each step, the one that it is made on top of, in its stage or in the one that
            its stage begins with.
        names: For each step, the build arguments that it knows.
        ignored: Digest of the file that says what is left out of the context; empty if none does.
    """

    files: Mapping[str, Fingerprint] = field(repr=False)
    sources: Mapping[int, tuple[str, ...]]
    stages: Mapping[int, tuple[str, ...]]
    arguments: Mapping[str, str]
    bases: Mapping[int, str] = field(default_factory=dict)
    below: Mapping[int, int] = field(default_factory=dict)
    names: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    ignored: str = ""


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
        if entry.for_builder:
            continue
        status = entry.status
        if entry.is_folder:
            files[entry.path] = (status.st_mode, 0, 0, 0, FOLDER)
            continue
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
    stages: dict[int, list[str]] = {}
    for instruction in document.instructions:
        if found := sources_of(instruction, scopes):
            sources[instruction.index + 1] = found
    for stage in scopes.stages.stages:
        for use in stage.uses:
            if use.what != "from" and use.stage is not None:
                label = scopes.stages.stages[use.stage].label
                stages.setdefault(use.instruction.index + 1, []).append(label)
    return Inputs(
        files,
        sources,
        {number: tuple(labels) for number, labels in stages.items()},
        dict(arguments),
        below=_below(scopes.stages),
        names={i.index + 1: _names(scopes, i) for i in document.instructions},
        ignored=_rules(context.ignore_file),
    )


def base_names(document: Document, arguments: Mapping[str, str]) -> dict[int, str]:
    """For each step that begins with an image, or copies from one, the image's name."""
    found = dict(plan_of(document, arguments=arguments).bases)
    for stage in find_stages(document, arguments).stages:
        for use in stage.uses:
            if use.what == "copy" and use.stage is None:
                found[use.instruction.index + 1] = use.name
    return found


def sources_of(instruction: Instruction, scopes: Scopes) -> tuple[str, ...]:
    """The paths and patterns of the context that an instruction takes files from."""
    if instruction.keyword in ("COPY", "ADD") and instruction.flag("from") is None:
        return _sources(instruction, scopes)
    found = []
    for flag in instruction.all_flags("mount") if instruction.keyword == "RUN" else ():
        mount = parse_mount(flag)
        kind, origin = mount.field("type"), mount.field("from")
        source = mount.field("source") or mount.field("src")
        if (kind is None or kind.value == "bind") and origin is None:
            text = source.value if source is not None and source.value else "."
            found.append(clean("/" + text).removeprefix("/") or ".")
    return tuple(found)


def _below(stages: Stages) -> dict[int, int]:
    found: dict[int, int] = {}
    for stage in stages.stages:
        numbers = [instruction.index + 1 for instruction in stage.instructions]
        found |= dict(zip(numbers[1:], numbers, strict=False))
        base = stage.base
        if base is not None and base.stage is not None and base.stage < stage.index:
            found[numbers[0]] = stages.stages[base.stage].instructions[-1].index + 1
    return found


def _names(scopes: Scopes, instruction: Instruction) -> tuple[str, ...]:
    variables = scopes.before(instruction).variables
    return tuple(sorted(name for name, each in variables.items() if each.kind == "ARG"))


def _rules(path: Path | None) -> str:
    try:
        return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def changed_files(old: Inputs, new: Inputs, sources: tuple[str, ...]) -> list[str]:
    """Paths among some sources that are added, gone, or have become different, by name."""
    wanted = [_pattern(source) for source in sources]
    paths = {
        path
        for path in old.files.keys() | new.files.keys()
        if any(pattern.match(path) for pattern in wanted)
    }
    return sorted(path for path in paths if differ(old.files.get(path), new.files.get(path)))


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
        "below": inputs.below,
        "names": inputs.names,
        "ignored": inputs.ignored,
    }
    write_whole(folder / NAME, json.dumps(document, separators=(",", ":")).encode("ascii"))


def kept(folder: Path) -> Inputs | None:
    """The inputs that were kept in the folder of a job; None if there are none."""
    try:
        document: dict[str, Any] = json.loads((folder / NAME).read_bytes())
        return Inputs(
            {str(path): _fingerprint(facts) for path, facts in document["files"].items()},
            {int(step): tuple(map(str, names)) for step, names in document["sources"].items()},
            {int(step): tuple(map(str, names)) for step, names in document["stages"].items()},
            {str(name): str(value) for name, value in document["arguments"].items()},
            {int(step): str(image) for step, image in document["bases"].items()},
            {int(step): int(below) for step, below in document["below"].items()},
            {int(step): tuple(map(str, names)) for step, names in document["names"].items()},
            str(document["ignored"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _fingerprint(facts: Any) -> Fingerprint:
    mode, size, time, inode, digest = facts
    return int(mode), int(size), int(time), int(inode), str(digest)


def differ(old: Fingerprint | None, new: Fingerprint | None) -> bool:
    """Whether a file is another one than it was, or only one of both is there."""
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
