"""What is known of a version beside its content, and in what of it two versions differ."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from layerscope.filesystem.capabilities import ATTRIBUTE, capability_text
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.text import decode, docker_size, printable, visible

#: More of an attribute's value says nothing to anyone.
_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Fact:
    """A property of two versions. Texts are safe to show.

    Attributes:
        name: What it is called: `mode`, `owner`, `xattr user.comment`.
        old: Its value in the old version; None if that has no such thing.
        new: Its value in the new version; likewise.
    """

    name: str
    old: str | None
    new: str | None


def facts(stack: Stack, row: int) -> dict[str, str]:
    """What is known of a version, by name, in the order in which it is shown."""
    kind = EntryType(int(stack.types[row]))
    inode = int(stack.inodes[row])
    found = {"type": kind.label}
    if kind is EntryType.FILE:
        found["size"] = size_text(int(stack.sizes[row]))
    if kind is EntryType.SYMLINK:
        found["target"] = visible(stack.link(inode) or b"")
    if kind in (EntryType.CHAR, EntryType.BLOCK):
        numbers = stack.device(row)
        found["device"] = f"{numbers[0]},{numbers[1]}" if numbers else "unknown"
    found["mode"] = f"{int(stack.modes[row]):04o}"
    found["owner"] = f"{int(stack.uids[row])}:{int(stack.gids[row])}"
    found["mtime"] = time_text(int(stack.mtimes[row]))
    for name, value in sorted(stack.xattrs(row).items()):
        capabilities = capability_text(value) if name == ATTRIBUTE else None
        if capabilities is not None:
            found["capabilities"] = capabilities
        else:
            found[f"xattr {visible(name)}"] = _value_text(value)
    return found


def differing_facts(first: Stack, one: int, second: Stack, other: int) -> list[Fact]:
    """In what two versions differ, content aside, in the order in which it is shown.

    Args:
        first: The stack of the old version.
        one: The old version.
        second: The stack of the new version.
        other: The new version.
    """
    old, new = facts(first, one), facts(second, other)
    return [
        Fact(name, old.get(name), new.get(name))
        for name in [*old, *(name for name in new if name not in old)]
        if old.get(name) != new.get(name)
    ]


def size_text(size: int) -> str:
    """A size, exact where the short form is not."""
    return f"{size} B" if size < 1000 else f"{docker_size(size)} ({size:,} B)"


def time_text(unix: int) -> str:
    """A time in UTC, to the second."""
    try:
        return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{unix} s since 1970"


def _value_text(value: bytes) -> str:
    text = decode(value)
    bare = text.removesuffix("\0")
    shown = bare if printable(bare) else value[:_LONGEST_VALUE].hex()
    if len(shown) > _LONGEST_VALUE:
        # Two that differ further on must not look the same.
        digest = hashlib.sha256(value).hexdigest()[:12]
        shown = f"{shown[:_LONGEST_VALUE]}…, {len(value)} bytes, sha256 {digest}"
    return visible(shown) if shown else "(empty)"
