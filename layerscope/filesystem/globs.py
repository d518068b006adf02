"""Globs over paths: `*` and `?` within a component, `**` across them."""

from __future__ import annotations

import re

_STARS = {b"*": rb"[^/]*?", b"**": rb".*?", b"**/": rb"(?:[^/]+/)*?"}


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
    first, *rest = re.split(rb"(\*\*/|\*\*|\*)", raw)
    pattern = _literal(first)
    for place in range(0, len(rest), 2):
        star, literal = rest[place], rest[place + 1]
        following = rest[place + 2] if place + 2 < len(rest) else b""
        piece = _STARS[star] + _literal(literal)
        if (
            following == b"**"
            or star == following == b"*"
            or (star == following == b"**/" and literal.endswith(b"/"))
        ):
            # The next star can take whatever a later match of this piece would, so its first match
            # is the only one to try: without this, many stars take for ever.
            piece = b"(?>" + piece + b")"
        pattern += piece
    start = rb"\A" if anchored else rb"(?:\A|/)"
    return re.compile(start + pattern + rb"(?:/|\Z)", flags | re.DOTALL)


def _literal(text: bytes) -> bytes:
    return re.escape(text).replace(rb"\?", rb"[^/]")
