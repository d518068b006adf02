"""Unified diffs of one path: between successive versions, and between two images.

Written to a file or a pipe, lines of files are as they are, byte for byte, and `patch` takes them.
On a terminal nothing of a file is obeyed: what could be is shown as an escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from layerscope.content.line_diff import unified
from layerscope.errors import NotFoundError
from layerscope.filesystem.change import Change
from layerscope.filesystem.lookup import LookupFailedError, Version, resolve
from layerscope.images.contents import Contents
from layerscope.images.loading import Loaded
from layerscope.images.version_diff import (
    Body,
    Side,
    VersionDiff,
    compare_versions,
    encoding_note,
)
from layerscope.reports.history_report import version_lines
from layerscope.text import docker_size, visible

_QUOTED = re.compile(rb'[\x00-\x1f"\\\x7f]')
_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}

_COLORS = {"+": "32", "-": "31", "@": "36"}


@dataclass(frozen=True, slots=True)
class Form:
    """How a diff is written.

    Attributes:
        terminal: Whether a terminal shows it.
        color: Whether in colours.
    """

    terminal: bool
    color: bool


def history_patch(
    loaded: Loaded, path: bytes, versions: list[Version], contents: Contents, form: Form
) -> Iterator[str]:
    """Every version of a path with what differs from the one before, the newest last.

    Yields:
        Lines; bytes that are not UTF-8 are lone surrogates.
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
            # What the lines above have only a word for.
            if fact.name.startswith(("xattr", "capabilities")):
                yield f"    {_fact(fact.name, fact.old, fact.new)}"
        yield from patch_lines(diff, path, before, side, form)
        before = side


def path_patch(
    first: tuple[Loaded, Contents], second: tuple[Loaded, Contents], path: bytes, form: Form
) -> tuple[bool, Iterator[str]]:
    """What differs at one path between two images.

    Args:
        first: One image.
        second: The other.
        path: The path; symlinks on the way to it are followed, one at its end is compared.
        form: How it is written.

    Returns:
        Whether anything does, and the lines.

    Raises:
        NotFoundError: Neither image has the path.
    """
    old, new = (_side(loaded, contents, path) for loaded, contents in (first, second))
    if old is None and new is None:
        names = " nor ".join(visible(loaded.image.reference) for loaded, _ in (first, second))
        raise NotFoundError(
            f"Neither {names} has /{visible(path)}.", "Paths are as `layerscope files` lists them."
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
    """What there is to say of content that is not compared by lines; safe to show."""
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
    """The content that differs, as diff -u writes it, or a sentence where lines say nothing.

    Yields:
        Lines; bytes that are not UTF-8 are lone surrogates, unless a terminal shows them.
    """
    lines = diff.lines
    if lines is None or not lines.blocks:
        note = content_note(diff, old, new)
        # That nothing changed has been said of what there was before.
        if note and diff.body is not Body.SAME:
            yield note
        return
    note = encoding_note(diff)
    if note:
        yield f"{note}, shown as UTF-8" if "UTF-16" in note else note
    is_old, is_new = (side is not None and side.is_file for side in (old, new))
    yield _colored(f"--- {_quoted(b'a/' + path) if is_old else '/dev/null'}", "1", form)
    yield _colored(f"+++ {_quoted(b'b/' + path) if is_new else '/dev/null'}", "1", form)
    latin = "latin-1" in diff.encodings and set(diff.encodings) <= {"latin-1", "ascii", None}
    for line in b"".join(unified(lines)).split(b"\n")[:-1]:
        if not form.terminal:
            yield line.decode("utf-8", "surrogateescape")
            continue
        text = line.decode("latin-1") if latin else line.decode("utf-8", "surrogateescape")
        text = "\t".join(map(visible, text.split("\t")))
        yield _colored(text, _COLORS.get(text[:1], ""), form)


def _colored(text: str, color: str, form: Form) -> str:
    return f"\x1b[{color}m{text}\x1b[m" if color and form.color else text


def _quoted(name: bytes) -> str:
    """A name as git and patch read it: quoted, as in C, if it has anything odd in it."""
    text = name.decode("utf-8", "surrogateescape")
    if _QUOTED.search(name) or visible(text) != text:
        return '"' + "".join(map(_escaped, name)) + '"'
    # A blank would end the name if no tab did.
    return f"{text}\t" if " " in text else text


def _escaped(byte: int) -> str:
    if byte in _ESCAPES:
        return f"\\{_ESCAPES[byte]}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
