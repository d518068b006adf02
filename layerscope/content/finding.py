"""Finds text or bytes in content of any size."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from layerscope.content.access import RandomAccess

#: Further matches are only counted.
MOST = 100_000

#: Small, so that other threads can run between two pieces.
_PIECE = 256 << 10

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}\s*)+")

#: Longer than any text that users type, and much shorter than a piece. Texts that need a pattern
#: are shorter, since it is tried at each byte.
_LONGEST, _LONGEST_PATTERN = 4096, 256


@dataclass(frozen=True, slots=True)
class Needle:
    pattern: re.Pattern[bytes]
    longest: int  # The maximum length of a match, in bytes.
    plain: bytes = b""  # The bytes, if a plain search is enough; else empty.
    lower: bool = False  # Whether to search for `plain` in lower-cased content.
    unit: int = 1  # Matches start at multiples of this many bytes.


def text_needle(text: str, encoding: str | None) -> Needle | None:
    """A needle for non-empty text; case-sensitive if it has a capital letter.

    `encoding` is the content's encoding; for None (bytes), UTF-8 is used.

    Returns None if the encoding cannot express it.
    """
    codec = {"ascii": "utf-8", "utf-8-sig": "utf-8", None: "utf-8"}.get(encoding, encoding)
    assert codec is not None  # noqa: S101 - None is a key above
    text = text[:_LONGEST]
    unit = 2 if codec.startswith("utf-16") else 1
    exact = text != text.lower()
    if unit > 1 or not (exact or text.isascii()):
        text = text[:_LONGEST_PATTERN]
    try:
        parts = []
        longest = 0
        for character in text:
            cases = {character} if exact else {character, character.upper()}
            forms = sorted({case.encode(codec, "surrogateescape") for case in cases})
            longest += max(map(len, forms))
            parts.append(b"(?:" + b"|".join(map(re.escape, forms)) + b")")
    except UnicodeEncodeError:
        return None
    pattern = re.compile(b"".join(parts), re.DOTALL)
    plain = text.encode(codec, "surrogateescape") if exact or text.isascii() else b""
    if not exact and not plain.isascii():
        plain = b""
    return Needle(pattern, longest, plain, not exact, unit)


def hex_needle(text: str) -> Needle | None:
    """A needle for bytes in hexadecimal, two digits each; None if it is not hexadecimal."""
    if not _HEX.fullmatch(text.strip()):
        return None
    data = bytes.fromhex(text)[:_LONGEST]
    return Needle(re.compile(re.escape(data), re.DOTALL), len(data), data)


@dataclass(slots=True)
class Matches:
    """The matches of a needle. One thread adds to it while others read."""

    #: The first `MOST` offsets, in order.
    offsets: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("H"))  # The length of each match.
    count: int = 0  # The number of matches up to `reached`.
    reached: int = 0  # How far the content has been searched.
    complete: bool = False


def find(
    source: RandomAccess, needle: Needle, matches: Matches, advance: Callable[[int], None]
) -> None:
    """Finds all matches, which do not overlap.

    `advance` is called with the progress in bytes; it raises to stop.
    """
    at = behind = 0
    while True:
        data = source.read(at, _PIECE + needle.longest - 1)
        for start, length in _in(data, needle, behind - at, _PIECE):
            offset = at + start
            if offset % needle.unit:
                continue
            behind = offset + length
            if matches.count < MOST:
                matches.lengths.append(length)
                matches.offsets.append(offset)
            matches.count += 1
        at += _PIECE
        matches.reached = min(at, source.size)
        advance(matches.reached)
        if len(data) < _PIECE + needle.longest - 1:
            matches.complete = True
            return


def _in(data: bytes, needle: Needle, begin: int, limit: int) -> list[tuple[int, int]]:
    """Starts and lengths of the matches that start before a limit."""
    found = []
    begin = max(0, begin)
    if needle.plain and needle.unit == 1:
        # Ten times faster than a pattern.
        plain = needle.plain.lower() if needle.lower else needle.plain
        data = data.lower() if needle.lower else data
        at = data.find(plain, begin)
        while 0 <= at < limit:
            found.append((at, len(plain)))
            at = data.find(plain, at + len(plain))
        return found
    for match in needle.pattern.finditer(data, begin):
        if match.start() >= limit:
            break
        found.append((match.start(), match.end() - match.start()))
    return found
