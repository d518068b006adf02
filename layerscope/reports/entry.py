"""One version of a path, as JSON and as text."""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any

from layerscope.filesystem.change import Aspect, aspect_words
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.facts import time_text
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.suspicious import suspicion
from layerscope.filesystem.view import View
from layerscope.text import decode, docker_size, visible

_TYPE_BITS = {
    EntryType.FILE: stat.S_IFREG,
    EntryType.HARDLINK: stat.S_IFREG,
    EntryType.SYMLINK: stat.S_IFLNK,
    EntryType.DIR: stat.S_IFDIR,
    EntryType.CHAR: stat.S_IFCHR,
    EntryType.BLOCK: stat.S_IFBLK,
    EntryType.FIFO: stat.S_IFIFO,
}

#: The titles of `path_facts`.
_FACTS = ("Type", "Mode", "Modified", "Written by", "Version")


def mode_text(kind: EntryType, mode: int) -> str:
    """The mode as `ls -l` prints it; for a whiteout, which has no mode, its name."""
    if kind >= EntryType.WHITEOUT:
        return f"{kind.label:<10}"
    return stat.filemode(_TYPE_BITS[kind] | mode)


def mark_text(stack: Stack, row: int) -> str:
    """Unusual properties, such as `  (implied)`; empty for most versions."""
    marks = ["implied"] if stack.implied(row) else []
    if suspicious := suspicion(stack, row):
        marks.append(f"suspicious: {suspicious}")
    return "".join(f"  ({mark})" for mark in marks)


def version_document(stack: Stack, row: int) -> dict[str, Any]:
    """The fields of `files --json-lines` except path, layer and change."""
    kind = EntryType(int(stack.types[row]))
    link = stack.link(int(stack.inodes[row])) if kind is EntryType.SYMLINK else None
    return {
        "type": kind.label,
        "mode": int(stack.modes[row]),
        "uid": int(stack.uids[row]),
        "gid": int(stack.gids[row]),
        "size": int(stack.sizes[row]),
        "mtime": int(stack.mtimes[row]),
        "link": None if link is None else decode(link),
        **({"implied": True} if stack.implied(row) else {}),
        **({"suspicious": suspicious} if (suspicious := suspicion(stack, row)) else {}),
    }


def version_text(stack: Stack, row: int) -> str:
    kind = EntryType(int(stack.types[row]))
    text = mode_text(kind, int(stack.modes[row]))
    text += f"  {stack.uids[row]}:{stack.gids[row]}"
    if kind is EntryType.FILE:
        text += f"  {docker_size(int(stack.sizes[row]))}"
    elif kind is EntryType.SYMLINK:
        text += f"  -> {visible(stack.link(int(stack.inodes[row])) or b'')}"
    return text + mark_text(stack, row)


def path_facts(view: View, node: int) -> list[tuple[str, str]]:
    """What a view shows at a node: the same titles for every node, with texts safe to show."""
    stack = view.stack
    row: int | None = int(view.versions[node])
    if row == -1:
        # The view shows the folder only for its contents; a lower layer may have it.
        row = stack.version(node, view.layer)
    size = docker_size(int(view.sizes[node]))
    if row is None:
        texts = [f"folder, {size} below", "", "", "no layer", ""]
        return list(zip(_FACTS, texts, strict=True))
    kind = EntryType(int(stack.types[row]))
    what = kind.noun
    if kind is EntryType.FILE:
        what += f", {docker_size(int(stack.sizes[row]))}"
    elif kind is EntryType.DIR:
        what += f", {size} below"
    elif kind is EntryType.SYMLINK:
        what += f" to {visible(stack.link(int(stack.inodes[row])) or b'')}"
    texts = [
        what,
        f"{mode_text(kind, int(stack.modes[row]))}  {stack.uids[row]}:{stack.gids[row]}",
        f"{time_text(int(stack.mtimes[row]))} UTC",
        f"layer {stack.layers[row]}",
        version_place_text(stack, row),
    ]
    return list(zip(_FACTS, texts, strict=True))


def version_place_text(stack: Stack, row: int) -> str:
    """A version's number among its path's, and what hides it: `1 of 2, hidden by layer 3`."""
    versions = stack.versions(int(stack.nodes[row]))
    text = f"{versions.index(row) + 1} of {len(versions)}"
    hidden_by = int(stack.hidden_by[row])
    return text if hidden_by >= stack.height else f"{text}, hidden by layer {hidden_by}"


def difference_text(
    first: Stack, one: int, second: Stack, other: int, aspects: Aspect, content_known: bool
) -> str:
    """How two versions differ, such as `owner 0:0→33:33, content unchanged`.

    The versions are row `one` of the first stack and row `other` of the second.
    """
    sides = ((first, one), (second, other))

    def both(text: Callable[[Stack, int], object]) -> str:
        return "→".join(str(text(stack, row)) for stack, row in sides)

    def link(stack: Stack, row: int) -> str:
        return visible(stack.link(int(stack.inodes[row])) or b"")

    parts = []
    if aspects & Aspect.TYPE:
        parts.append(f"type {both(lambda stack, row: EntryType(int(stack.types[row])).label)}")
    if aspects & Aspect.CONTENT:
        same_size = first.sizes[one] == second.sizes[other]
        parts.append(
            "content" if same_size else f"size {both(lambda s, row: int(s.sizes[row]))} bytes"
        )
    if aspects & Aspect.OWNER:
        parts.append(f"owner {both(lambda stack, row: f'{stack.uids[row]}:{stack.gids[row]}')}")
    if aspects & Aspect.MODE:
        parts.append(f"mode {both(lambda stack, row: f'{int(stack.modes[row]):04o}')}")
    if aspects & Aspect.LINK:
        parts.append(f"target {both(link)}")
    rest = (Aspect.XATTRS, Aspect.DEVICE, Aspect.MTIME, Aspect.HARDLINKS)
    parts += [word for aspect in rest for word in aspect_words(aspects & aspect)]
    is_file = second.types[other] == EntryType.FILE and not aspects & Aspect.TYPE
    if is_file and not aspects & Aspect.CONTENT:
        parts.append("content unchanged" if content_known else "content not compared")
    return ", ".join(parts)
