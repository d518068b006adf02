"""The inputs of a build, stored with its job, so that the next build can show what changed.

Files are compared by content, as builders do, but only read if their size, time or inode changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from layerscope.bounded import LARGE, open_regular, read_file
from layerscope.build.fields import REMOTE
from layerscope.build.plan import plan_of
from layerscope.dockerfile.context.context import Context, ContextEntry
from layerscope.dockerfile.context.ignore import in_context
from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.meaning.stages import Stages, find_stages
from layerscope.dockerfile.syntax.document import Document, Instruction
from layerscope.dockerfile.syntax.mounts import mounts_of
from layerscope.patterns import GO_MATCH_DEEP, PatternError, path_matcher
from layerscope.records import Record, field, read
from layerscope.writing import write_whole

NAME = "inputs.json"  # In a job's folder: the inputs of its build.

#: The most bytes of files to read for digests; beyond that, size and time must suffice.
_MOST = 2 << 30

FOLDER = "/"  # The digest of a folder.

#: Mode, size, mtime in nanoseconds, inode, and the digest of the content or an empty string.
Fingerprint = tuple[int, int, int, int, str]


class Inputs(Record, frozen=True):
    files: dict[str, Fingerprint]  # By path in the context.
    #: Paths and patterns of each step that copies from the context.
    sources: dict[int, tuple[str, ...]]
    stages: dict[int, tuple[str, ...]]  # Stages that each step copies from.
    arguments: dict[str, str]  # Build arguments.
    #: Id of the image that each step begins with or copies from.
    bases: dict[int, str] = field(default_factory=dict)
    #: The step that each step builds on, in its stage or in the stage's base.
    below: dict[int, int] = field(default_factory=dict)
    #: The build arguments in each step's scope.
    names: dict[int, tuple[str, ...]] = field(default_factory=dict)
    ignored: str = ""  # Digest of the ignore file, or "".
    ignore_file: str = ".dockerignore"  # Its name.


def gather(
    context: Context,
    document: Document,
    arguments: Mapping[str, str],
    before: Inputs | None,
    check: Callable[[], None],
) -> Inputs:
    """Collects the inputs of a build.

    Does not reread files that have not changed since `before`, the last build. Calls `check` for
    each file, which raises to stop.
    """
    files: dict[str, Fingerprint] = {}
    left = _MOST
    known: Mapping[str, Fingerprint] = {} if before is None else before.files
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
        ignore_file=context.ignore_file.name if context.ignore_file is not None else "",
    )


def base_names(document: Document, arguments: Mapping[str, str]) -> dict[int, str]:
    """Returns the name of the image that each step begins with or copies from."""
    found = dict(plan_of(document, arguments=arguments).bases)
    for stage in find_stages(document, arguments).stages:
        for use in stage.uses:
            if use.what == "copy" and use.stage is None:
                found[use.instruction.index + 1] = use.name
    return found


def sources_of(instruction: Instruction, scopes: Scopes) -> tuple[str, ...]:
    """Returns the paths and patterns in the context that an instruction copies or mounts."""
    if instruction.keyword in ("COPY", "ADD") and instruction.flag("from") is None:
        words = (word.text for word in instruction.sources if not REMOTE.match(word.text))
        return tuple(in_context(scopes.expanded(instruction, text)) for text in words)
    found = []
    for mount in mounts_of(instruction):
        kind, origin = mount.field("type"), mount.field("from")
        source = mount.field("source")
        if (kind is None or kind.value == "bind") and origin is None:
            text = source.value if source is not None and source.value else "."
            found.append(in_context(text))
    return tuple(found)


def _below(stages: Stages) -> dict[int, int]:
    found: dict[int, int] = {}
    for stage in stages.stages:
        numbers = [instruction.index + 1 for instruction in stage.instructions]
        found |= dict(zip(numbers[1:], numbers, strict=False))
        if stage.below is not None:
            found[numbers[0]] = stages.stages[stage.below].instructions[-1].index + 1
    return found


def _names(scopes: Scopes, instruction: Instruction) -> tuple[str, ...]:
    variables = scopes.before(instruction).variables
    return tuple(sorted(name for name, each in variables.items() if each.kind == "ARG"))


def _rules(path: Path | None) -> str:
    try:
        return "" if path is None else hashlib.sha256(read_file(path)).hexdigest()
    except OSError:
        return ""


def changed_files(old: Inputs, new: Inputs, sources: tuple[str, ...]) -> list[str]:
    """Returns paths in `sources` that were added, removed or changed, in order."""
    wanted = [_matcher(source) for source in sources]
    paths = {
        path
        for path in old.files.keys() | new.files.keys()
        if any(matches(path) for matches in wanted)
    }
    return sorted(path for path in paths if differ(old.files.get(path), new.files.get(path)))


def keep(folder: Path, inputs: Inputs) -> None:
    """Stores inputs in the folder of a job; raises OSError."""
    write_whole(folder / NAME, inputs.dump())


def kept(folder: Path) -> Inputs | None:
    return read(folder / NAME, Inputs, LARGE)


def differ(old: Fingerprint | None, new: Fingerprint | None) -> bool:
    """Whether a file changed, was added or was removed."""
    if old is None or new is None:
        return old is not new
    if old[:2] != new[:2]:
        return True
    # Compares the content, not the time, as builders do, if both were read.
    return old[4] != new[4] if old[4] and new[4] else old[2:4] != new[2:4]


def _digest(root: Path, entry: ContextEntry) -> str:
    """Returns the digest of a file's content or a link's target; "" if unreadable."""
    path = root / entry.path
    try:
        if not entry.is_file:
            return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()  # noqa: PTH115
        with os.fdopen(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _matcher(source: str) -> Callable[[str], bool]:
    """Returns a function that checks if a source of COPY matches a path or a parent folder."""
    if source in (".", ""):
        return lambda _: True
    try:
        return path_matcher(source, GO_MATCH_DEEP, below=True)
    except PatternError:
        return lambda path: f"{path}/".startswith(f"{source}/")
