"""Detects whether bytes are text, and in which encoding."""

from __future__ import annotations

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: Control characters found in text: bell to carriage return, and escape, for colours in logs.
_TEXT_CONTROLS = frozenset((7, 8, 9, 10, 11, 12, 13, 27))
_CONTROLS = bytes(byte for byte in (*range(32), 127) if byte not in _TEXT_CONTROLS)

#: Text has at most this many other control characters in a thousand bytes.
_MOST_CONTROLS = 20

LABELS = {
    "ascii": "ASCII",
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with BOM",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "latin-1": "Latin-1",
}


def text_encoding(head: bytes, complete: bool) -> str | None:
    """The encoding of text as a key of `LABELS`, or None if it is not text.

    `head` is the first bytes; a few thousand are enough. An empty file is text. `complete` is
    true if these are all.
    """
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if b"\0" in head:
        return _utf16(head)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls * 1000 > _MOST_CONTROLS * len(head):
        return None
    if head.isascii():
        # The rest may not be ASCII.
        return "ascii" if complete else "utf-8"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=complete)
    except UnicodeDecodeError:
        text = head.decode("utf-8", "surrogateescape")
        bad = sum(1 for character in text if "\udc80" <= character <= "\udcff")
        good = sum(1 for character in text if character > "\x7f") - bad
        if good > bad:
            # A few bytes are damaged, and shown as such.
            return "utf-8"
        return "latin-1" if _is_latin(head) else None
    return "utf-8"


def _utf16(head: bytes) -> str | None:
    """UTF-16 without a mark: in Western text, exactly every other byte is zero."""
    even, odd = head[0::2], head[1::2]
    for zeros, letters, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(letters) > 2 and zeros.count(0) > 0.9 * len(zeros) and 0 not in letters:
            return name if letters.translate(None, _CONTROLS) == letters else None
    return None


def _is_latin(head: bytes) -> bool:
    """Whether it looks like an 8-bit encoding: mostly ASCII, and no C1 controls."""
    high = sum(1 for byte in head if byte >= 0x80)
    c1 = sum(1 for byte in head if 0x80 <= byte < 0xA0)
    return c1 * 100 <= len(head) and high * 10 <= 6 * len(head)
