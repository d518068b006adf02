"""Metadata of a version as text, and the differences between two versions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from layerscope.filesystem.capabilities import ATTRIBUTE, capability_text
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.text import decode, docker_size, printable, visible

#: Characters shown of an attribute's value.
_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Fact:
    """A property of two versions. Texts are safe to show."""

    name: str  # Such as `mode`, `owner` or `xattr user.comment`.
    old: str | None  # Its value in the old version, or None.
    new: str | None  # Its value in the new version, or None.


def facts(stack: Stack, row: int) -> dict[str, str]:
    """The metadata of a version, by name, in display order."""
    kind = EntryType(int(stack.types[row]))
    inode = int(stack.inodes[row])
    found = {"type": kind.label}
    if kind is EntryType.FILE:
        size = int(stack.sizes[row])
        found["size"] = docker_size(size) + (f" ({size:,} bytes)" if size >= 1000 else "")
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
    """The metadata that differs between two versions, in display order."""
    old, new = facts(first, one), facts(second, other)
    return [
        Fact(name, old.get(name), new.get(name))
        for name in [*old, *(name for name in new if name not in old)]
        if old.get(name) != new.get(name)
    ]


def time_text(unix: int) -> str:
    try:
        return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{unix} s since 1970"


def _value_text(value: bytes) -> str:
    text = decode(value)
    bare = text.removesuffix("\0")
    shown = bare if printable(bare) else value[:_LONGEST_VALUE].hex()
    if len(shown) > _LONGEST_VALUE:
        # Values that differ only after the cut must not look the same.
        digest = hashlib.sha256(value).hexdigest()[:12]
        shown = f"{shown[:_LONGEST_VALUE]}…, {len(value)} bytes, sha256 {digest}"
    return visible(shown) if shown else "(empty)"
