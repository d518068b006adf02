"""One version of a path, in JSON and for people."""

from __future__ import annotations

import stat
from typing import Any

from layerscope.filesystem.change import Aspect
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
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

_WORDS = {
    Aspect.TYPE: "type",
    Aspect.CONTENT: "content",
    Aspect.MODE: "mode",
    Aspect.OWNER: "owner",
    Aspect.MTIME: "mtime",
    Aspect.LINK: "link",
    Aspect.XATTRS: "xattrs",
    Aspect.DEVICE: "device",
}


def mode_text(kind: EntryType, mode: int) -> str:
    """Mode as `ls -l` prints it; the word for a whiteout, which has no mode."""
    if kind >= EntryType.WHITEOUT:
        return f"{kind.label:<10}"
    return stat.filemode(_TYPE_BITS[kind] | mode)


def aspect_words(aspects: Aspect) -> list[str]:
    """The words for what differs."""
    return [word for aspect, word in _WORDS.items() if aspects & aspect]


def version_document(stack: Stack, row: int) -> dict[str, Any]:
    """The fields of a version that `files --json-lines` has too, path, layer and change aside."""
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
    }


def version_text(stack: Stack, row: int) -> str:
    """Mode, owner, size and target of a version."""
    kind = EntryType(int(stack.types[row]))
    text = mode_text(kind, int(stack.modes[row]))
    text += f"  {stack.uids[row]}:{stack.gids[row]}"
    if kind is EntryType.FILE:
        text += f"  {docker_size(int(stack.sizes[row]))}"
    elif kind is EntryType.SYMLINK:
        text += f"  -> {visible(stack.link(int(stack.inodes[row])) or b'')}"
    return text


def change_text(stack: Stack, below: int, row: int, aspects: Aspect, content_known: bool) -> str:
    """What changed between two versions, such as `owner 0:0→33:33, content unchanged`."""
    return difference_text(stack, below, stack, row, aspects, content_known)


def difference_text(
    first: Stack, one: int, second: Stack, other: int, aspects: Aspect, content_known: bool
) -> str:
    """What differs between a version of one stack and one of another."""
    parts = []
    if aspects & Aspect.TYPE:
        kinds = (EntryType(int(first.types[one])).label, EntryType(int(second.types[other])).label)
        parts.append(f"type {kinds[0]}→{kinds[1]}")
    if aspects & Aspect.CONTENT:
        sizes = (int(first.sizes[one]), int(second.sizes[other]))
        parts.append("content" if sizes[0] == sizes[1] else f"size {sizes[0]}→{sizes[1]}")
    if aspects & Aspect.OWNER:
        owners = (
            f"{first.uids[one]}:{first.gids[one]}",
            f"{second.uids[other]}:{second.gids[other]}",
        )
        parts.append(f"owner {owners[0]}→{owners[1]}")
    if aspects & Aspect.MODE:
        parts.append(f"mode {int(first.modes[one]):04o}→{int(second.modes[other]):04o}")
    if aspects & Aspect.LINK:
        targets = (first.link(int(first.inodes[one])), second.link(int(second.inodes[other])))
        parts.append(f"target {visible(targets[0] or b'')}→{visible(targets[1] or b'')}")
    parts += [
        word
        for aspect, word in ((Aspect.XATTRS, "xattrs"), (Aspect.DEVICE, "device"))
        if aspects & aspect
    ]
    if aspects & Aspect.MTIME:
        parts.append("mtime")
    is_file = second.types[other] == EntryType.FILE and not aspects & Aspect.TYPE
    if is_file and not aspects & Aspect.CONTENT:
        parts.append("content unchanged" if content_known else "content not compared")
    return ", ".join(parts)
