"""Unified diffs of one path: between its versions, and between two images.

In a file or a pipe, the lines are exactly those of the files, so `patch` accepts them. On a
terminal, control characters are shown as escapes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from layerscope.content.line_diff import unified
from layerscope.errors import NotFoundError
from layerscope.filesystem.change import Change
from layerscope.filesystem.lookup import LookupFailedError, Version, resolve
from layerscope.images.files.contents import Contents
from layerscope.images.files.version_diff import (
    Body,
    Side,
    VersionDiff,
    compare_versions,
    encoding_note,
)
from layerscope.images.loading import Loaded
from layerscope.reports.color import BOLD, CYAN, GREEN, RED, wanted
from layerscope.reports.history_report import version_lines
from layerscope.text import docker_size, visible, visible_lines

_QUOTED = re.compile(rb'[\x00-\x1f"\\\x7f]')
_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}

_COLORS = {"+": GREEN, "-": RED, "@": CYAN}


@dataclass(frozen=True, slots=True)
class Form:
    """Whether a terminal shows a diff, and whether in color."""

    terminal: bool
    color: bool


def form_of_stdout() -> Form:
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return Form(terminal, wanted())


def history_patch(
    loaded: Loaded, path: bytes, versions: list[Version], contents: Contents, form: Form
) -> Iterator[str]:
    """Every version of a path with its differences from the one before, the newest last.

    Bytes that are not UTF-8 are lone surrogates.
    """
    yield f"/{visible(path)}"
    before: Side | None = None
    for version in versions:
        yield ""
        yield from version_lines(loaded, version)
        side = None
        if version.change is not Change.REMOVED:
            side = Side(loaded.stack, version.row, contents)
        diff = compare_versions(before, side)
        for fact in diff.facts:
            # The lines above only mention that these changed.
            if fact.name.startswith(("xattr", "capabilities")):
                yield f"    {_fact(fact.name, fact.old, fact.new)}"
        yield from patch_lines(diff, path, before, side, form)
        before = side


def path_patch(
    first: tuple[Loaded, Contents], second: tuple[Loaded, Contents], path: bytes, form: Form
) -> tuple[bool, Iterator[str]]:
    """The differences at one path between two images.

    Symlinks on the way to the path are followed; a symlink at its end is compared. Returns whether
    there are any, and the lines. Raises NotFoundError if neither image has the path.
    """
    old, new = (_side(loaded, contents, path) for loaded, contents in (first, second))
    if old is None and new is None:
        names = " nor ".join(visible(loaded.image.reference) for loaded, _ in (first, second))
        raise NotFoundError(
            f"Neither {names} has /{visible(path)}.", "`layerscope files` lists the paths."
        )
    diff = compare_versions(old, new)
    return diff.changed, _path_lines(diff, path, old, new, form)


def _path_lines(
    diff: VersionDiff, path: bytes, old: Side | None, new: Side | None, form: Form
) -> Iterator[str]:
    if not diff.changed:
        return
    yield f"/{visible(path)}"
    for fact in diff.facts:
        yield f"    {_fact(fact.name, fact.old, fact.new)}"
    yield from patch_lines(diff, path, old, new, form)


def _side(loaded: Loaded, contents: Contents, path: bytes) -> Side | None:
    stack = loaded.stack
    try:
        return Side(stack, resolve(stack, path, stack.height - 1, follow=False), contents)
    except LookupFailedError:
        return None


def _fact(name: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{name}: {new}"
    return f"{name}: {old} → {'none' if new is None else new}"


def content_note(diff: VersionDiff, old: Side | None, new: Side | None) -> str:
    """A sentence about content that is not compared by lines; safe on a terminal."""
    if diff.body is Body.SAME:
        return "content unchanged"
    if diff.body is Body.UNREADABLE:
        return f"The content cannot be read. {diff.problem}"
    if diff.body not in (Body.BINARY, Body.LARGE):
        return ""
    what = "Too large to be compared by lines" if diff.body is Body.LARGE else "Binary"
    sizes = [docker_size(side.size) for side in (old, new) if side is not None and side.is_file]
    text = f"{what}, {' → '.join(sizes)}"
    if diff.first_difference is not None:
        text += f", the first difference at byte {diff.first_difference:,}"
    return f"{text}."


def patch_lines(
    diff: VersionDiff, path: bytes, old: Side | None, new: Side | None, form: Form
) -> Iterator[str]:
    """The different content in the format of diff -u, or a sentence if there are no lines.

    Bytes that are not UTF-8 are lone surrogates, unless a terminal shows them.
    """
    lines = diff.lines
    if lines is None or not lines.blocks:
        note = content_note(diff, old, new)
        # The lines above already mention that the content is unchanged.
        if note and diff.body is not Body.SAME:
            yield note
        return
    note = encoding_note(diff)
    if note:
        yield f"{note}, shown as UTF-8" if "UTF-16" in note else note
    is_old, is_new = (side is not None and side.is_file for side in (old, new))
    yield _colored(f"--- {_quoted(b'a/' + path) if is_old else '/dev/null'}", BOLD, form)
    yield _colored(f"+++ {_quoted(b'b/' + path) if is_new else '/dev/null'}", BOLD, form)
    latin = "latin-1" in diff.encodings and set(diff.encodings) <= {"latin-1", "ascii", None}
    for line in b"".join(unified(lines)).split(b"\n")[:-1]:
        if not form.terminal:
            text = line.decode("utf-8", "surrogateescape")
            yield _colored(text, _COLORS.get(text[:1], ""), form)
            continue
        text = line.decode("latin-1") if latin else line.decode("utf-8", "surrogateescape")
        text = visible_lines(text)
        yield _colored(text, _COLORS.get(text[:1], ""), form)


def _colored(text: str, color: str, form: Form) -> str:
    return f"\x1b[{color}m{text}\x1b[m" if color and form.color else text


def _quoted(name: bytes) -> str:
    """A name as git and patch read it: quoted as in C if it has unusual characters."""
    text = name.decode("utf-8", "surrogateescape")
    if _QUOTED.search(name) or visible(text) != text:
        return '"' + "".join(map(_escaped, name)) + '"'
    # Without the tab, a space would end the name.
    return f"{text}\t" if " " in text else text


def _escaped(byte: int) -> str:
    if byte in _ESCAPES:
        return f"\\{_ESCAPES[byte]}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
