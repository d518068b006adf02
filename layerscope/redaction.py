"""Keeps secrets out of messages, logs and tracebacks, by their form and by their values."""

from __future__ import annotations

import re

_SHORTEST = 6  # Shorter values are not hidden: messages would become unreadable.

#: A login in an address.
_LOGINS = (
    (re.compile(r"(\bssh://[^\s/@:]+):(?:[^\s/@]*@)+", re.IGNORECASE), r"\1:***@"),
    (re.compile(r"((?<!\bssh)://)(?:[^\s/@]*@)+", re.IGNORECASE), r"\1***@"),
)
#: Also a query that may be signed, and the text after an authentication scheme.
_FORMS = (
    *_LOGINS,
    (re.compile(r"(\bhttps?://[^\s?'\"]+\?)[^\s'\"]+", re.IGNORECASE), r"\1***"),
    (re.compile(r"\b(basic|bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE), r"\1 ***"),
)

_known: set[str] = set()


def hide(*values: str) -> None:
    """From now on, `redacted` removes these values."""
    # Line by line: `repr` escapes line breaks.
    lines = (line.strip() for value in values for line in value.splitlines())
    _known.update(line for line in lines if len(line) >= _SHORTEST)


def redacted(text: str) -> str:
    if _known:
        values = "|".join(map(re.escape, sorted(_known, key=len, reverse=True)))
        # Whole words: a password may be part of common ones. `repr` writes a line break as \\n.
        text = re.sub(rf"(?:(?<!\w)|(?<=\\n)|(?<=\\r))(?:{values})(?!\w)", "***", text)
    for pattern, shown in _FORMS:
        text = pattern.sub(shown, text)
    return text


def without_logins(text: str) -> str:
    """A text with user and password removed from addresses."""
    for pattern, shown in _LOGINS:
        text = pattern.sub(shown, text)
    return text
