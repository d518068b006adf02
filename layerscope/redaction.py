"""Secrets, which no message, log or traceback may hold: by their form, and by their values."""

from __future__ import annotations

import re

_SHORTEST = 6  # Shorter values are not hidden: messages would become unreadable.

#: A login in an address.
_LOGINS = (
    (re.compile(r"(\bssh://[^\s/@:]+):(?:[^\s/@]*@)+", re.IGNORECASE), r"\1:***@"),
    (re.compile(r"((?<!\bssh)://)(?:[^\s/@]*@)+", re.IGNORECASE), r"\1***@"),
)
#: Besides, a query that may be signed, and what follows an authentication scheme.
_FORMS = (
    *_LOGINS,
    (re.compile(r"(\bhttps?://[^\s?'\"]+\?)[^\s'\"]+", re.IGNORECASE), r"\1***"),
    (re.compile(r"\b(basic|bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE), r"\1 ***"),
)

_known: set[str] = set()


def hide(*values: str) -> None:
    """From now on, these values appear in no text that `redacted` returns."""
    # Line by line: `repr` escapes what is between them.
    lines = (line.strip() for value in values for line in value.splitlines())
    _known.update(line for line in lines if len(line) >= _SHORTEST)


def redacted(text: str) -> str:
    if _known:
        values = "|".join(map(re.escape, sorted(_known, key=len, reverse=True)))
        # Whole words: a password may be a part of usual ones. `repr` writes a line break as \\n.
        text = re.sub(rf"(?:(?<!\w)|(?<=\\n)|(?<=\\r))(?:{values})(?!\w)", "***", text)
    for pattern, shown in _FORMS:
        text = pattern.sub(shown, text)
    return text


def without_logins(text: str) -> str:
    """A text whose addresses have no user and password."""
    for pattern, shown in _LOGINS:
        text = pattern.sub(shown, text)
    return text
