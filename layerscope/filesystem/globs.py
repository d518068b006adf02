"""Globs over paths: `*` and `?` within a component, `**` across them."""

from __future__ import annotations

import re


def glob_pattern(glob: str, flags: int = 0) -> re.Pattern[bytes]:
    """A pattern that matches paths (no leading slash) as a whole, or a folder above them.

    A glob with a slash is anchored at the root; one without matches in every folder.

    Args:
        glob: The glob.
        flags: Flags of `re`.
    """
    raw = glob.encode("utf-8", "surrogateescape")
    anchored = b"/" in raw.strip(b"/") or raw.startswith(b"/")
    raw = raw.strip(b"/")
    pattern = b""
    place = 0
    while place < len(raw):
        if raw[place : place + 3] == b"**/":
            pattern += rb"(?:[^/]+/)*"
            place += 3
        elif raw[place : place + 2] == b"**":
            pattern += rb".*"
            place += 2
        else:
            character = raw[place : place + 1]
            pattern += {b"*": rb"[^/]*", b"?": rb"[^/]"}.get(character, re.escape(character))
            place += 1
    start = rb"\A" if anchored else rb"(?:\A|/)"
    return re.compile(start + pattern + rb"(?:/|\Z)", flags | re.DOTALL)
