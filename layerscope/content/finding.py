"""Finds text or bytes in content of any size."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from layerscope.content.access import RandomAccess

#: So many matches are remembered; beyond, they are counted only.
MOST = 100_000

#: Small, so that other threads have their turn between two pieces.
_PIECE = 256 << 10

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}\s*)+")

#: Longer than anything that is typed; a piece is much longer.
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Needle:
    """What is looked for.

    Attributes:
        pattern: Matches it in bytes.
        longest: How long a match is at most, in bytes.
        plain: The bytes, where nothing but these matches; empty otherwise.
        lower: Whether `plain` is found in the bytes with ASCII letters in lower case.
        unit: Matches begin at multiples of so many bytes.
    """

    pattern: re.Pattern[bytes]
    longest: int
    plain: bytes = b""
    lower: bool = False
    unit: int = 1


def text_needle(text: str, encoding: str | None) -> Needle | None:
    """A needle for text. Case counts if there is a capital letter in it.

    Args:
        text: What was typed; at least one character.
        encoding: That of the content; None for bytes, where UTF-8 is looked for.

    Returns:
        None if the encoding cannot express it.
    """
    codec = {"ascii": "utf-8", "utf-8-sig": "utf-8", None: "utf-8"}.get(encoding, encoding)
    assert codec is not None  # noqa: S101 - None is a key above
    text = text[:_LONGEST]
    unit = 2 if codec.startswith("utf-16") else 1
    exact = text != text.lower()
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
    """A needle for bytes given in hexadecimal, two digits each; None if it is not that."""
    if not _HEX.fullmatch(text.strip()):
        return None
    data = bytes.fromhex(text)[:_LONGEST]
    return Needle(re.compile(re.escape(data), re.DOTALL), len(data), data)


@dataclass(slots=True)
class Matches:
    """Where a needle is. One thread finds, others may look.

    Attributes:
        offsets: The first `MOST` offsets, in order.
        lengths: How long each match is.
        count: How many there are up to `reached`.
        reached: How far the content has been searched.
        complete: Whether all of it has been.
    """

    offsets: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("H"))
    count: int = 0
    reached: int = 0
    complete: bool = False


def find(
    source: RandomAccess, needle: Needle, matches: Matches, advance: Callable[[int], None]
) -> None:
    """Finds all matches, which do not overlap.

    Args:
        source: The content.
        needle: What to find.
        matches: Where they are noted, as they are found.
        advance: Told how far it has come; may raise to stop.
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
    """Starts and lengths of the matches that begin before a limit."""
    found = []
    begin = max(0, begin)
    if needle.plain and needle.unit == 1:
        # Ten times as fast as a pattern.
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
