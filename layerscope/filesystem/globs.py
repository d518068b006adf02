"""Globs over paths: `*` and `?` within a component, `**` across them."""

from __future__ import annotations

import re

_STARS = {b"*": rb"[^/]*?", b"**": rb".*?", b"**/": rb"(?:[^/]+/)*?"}

#: What a pattern of a glob without a slash begins with, and any glob's ends with.
_ANYWHERE, _END = rb"(?:\A|/)", rb"(?:/|\Z)"

#: A text with or without stars, as `glob_pattern` has it.
_TEXT = re.compile(
    rb"(?P<before>(?:\(\?>)?\[\^/\]\*\?)?(?P<text>(?:\\.|[^\\()\[\]*?])*)\)?"
    rb"(?P<behind>\[\^/\]\*\?)?",
    re.DOTALL,
)


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
    start = rb"\A" if anchored else _ANYWHERE
    return re.compile(start + pattern + _END, flags | re.DOTALL)


def literal_of(pattern: re.Pattern[bytes]) -> bytes | None:
    """The text that a pattern looks for, if it is a text and nothing else."""
    plain = re.sub(rb"\\(.)", rb"\1", pattern.pattern, flags=re.DOTALL)
    return plain if re.escape(plain) == pattern.pattern else None


def within_names(pattern: re.Pattern[bytes]) -> re.Pattern[bytes] | None:
    """A glob's pattern, to be searched in names with a NUL before each and behind the last.

    Returns:
        One in lower case if case is to be ignored; None, unless it is one of `glob_pattern` that
        matches a path exactly if it matches the name of one of its components.
    """
    source = pattern.pattern
    if not (source.startswith(_ANYWHERE) and source.endswith(_END)) or b"\0" in source:
        return None
    inner = source[len(_ANYWHERE) : -len(_END)]
    unescaped = re.sub(rb"\\.", b"", inner, flags=re.DOTALL).replace(b"[^/]", b"")
    if re.search(rb"[/.\[\0]", unescaped):
        return None
    if pattern.flags & re.IGNORECASE:
        inner = inner.lower()
    # Not `[^/]`: a name has no slash, and a star shall not go on in the next name.
    return re.compile(rb"\0" + inner.replace(b"[^/]", rb"[^\0]") + rb"(?=\0)", re.DOTALL)


def text_within_names(pattern: re.Pattern[bytes]) -> bytes | None:
    """What to look for in names in place of a glob's pattern, with NULs as for `within_names`.

    Returns:
        A text that is found in just those names that match, empty for all of them; None, unless the
        glob is a text with no more than a star before it and one behind it.
    """
    source = pattern.pattern
    if within_names(pattern) is None:
        return None
    found = _TEXT.fullmatch(source[len(_ANYWHERE) : -len(_END)])
    if found is None:
        return None
    text = re.sub(rb"\\(.)", rb"\1", found["text"], flags=re.DOTALL)
    before, behind = bool(found["before"]), bool(found["behind"])
    if re.escape(text) != found["text"] or not (text or before or behind):
        return None
    if not text:
        return b""
    return (b"" if before else b"\0") + text + (b"" if behind else b"\0")


def _literal(text: bytes) -> bytes:
    return re.escape(text).replace(rb"\?", rb"[^/]")
