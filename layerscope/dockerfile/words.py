"""Splitting the text of an instruction into words, in the ways that instructions differ."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

from layerscope.dockerfile.lines import BLANK, SPACE

_WORD = re.compile(f"[^{BLANK}]+")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SPACES = re.compile(f"[{SPACE}]*")
_QUOTED_ELSEWHERE = re.compile("[\"'\\\\`]")
_ANY_WORD = re.compile(f"[^{SPACE}]+")


class Piece(NamedTuple):
    """A piece of a joined text.

    Attributes:
        text: What it says.
        start: Where it begins in the joined text.
        end: Where it ends.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class JsonWords:
    """An argument read as JSON.

    Attributes:
        words: The strings of the array; None if the text is no JSON array.
        not_strings: Whether it is a JSON array with something in it that is no string, which
            BuildKit refuses.
    """

    words: tuple[Piece, ...] | None
    not_strings: bool = False


def split_blank(text: str, start: int) -> tuple[Piece, ...]:
    """Words between blanks, from an offset on; quotes mean nothing."""
    return tuple(Piece(m[0], m.start(), m.end()) for m in _WORD.finditer(text, start))


def split_quoted(text: str, start: int, escape: str) -> tuple[Piece, ...]:
    """Words between spaces, where quotes and escapes keep spaces in a word; both are kept.

    Args:
        text: The joined text.
        start: Where to begin.
        escape: The escape character.
    """
    if _QUOTED_ELSEWHERE.search(text, start) is None:
        return tuple(Piece(m[0], m.start(), m.end()) for m in _ANY_WORD.finditer(text, start))
    words: list[Piece] = []
    place, end = start, len(text)
    while place < end:
        if text[place] in SPACE:
            place += 1
            continue
        begin = place
        kept: list[str] = []
        quote = ""
        while place < end:
            char = text[place]
            if char == escape and quote != "'":
                # One at the very end says nothing and is left out.
                if place + 1 < end:
                    kept.append(text[place : place + 2])
                place += 2
                continue
            if quote:
                quote = "" if char == quote else quote
            elif char in SPACE:
                break
            elif char in "\"'":
                quote = char
            kept.append(char)
            place += 1
        if kept:
            words.append(Piece("".join(kept), begin, min(place, end)))
    return tuple(words)


def split_flags(text: str, start: int, escape: str) -> tuple[tuple[Piece, ...], int]:
    """The words at the beginning that start with `--`, and where the arguments begin.

    Quotes and escapes are taken away, as BuildKit does. A word `--` ends the flags.
    """
    flags: list[Piece] = []
    place, end = start, len(text)
    while True:
        match = _SPACES.match(text, place)
        place = match.end() if match else place
        if not text.startswith("--", place):
            return tuple(flags), place
        begin = place
        kept: list[str] = []
        quote = ""
        while place < end:
            char = text[place]
            if char == escape:
                kept.append(text[place + 1 : place + 2])
                place += 2
                continue
            if quote:
                if char == quote:
                    quote = ""
                else:
                    kept.append(char)
            elif char in SPACE:
                break
            elif char in "\"'":
                quote = char
            else:
                kept.append(char)
            place += 1
        place = min(place, end)
        word = "".join(kept)
        if word == "--":
            match = _SPACES.match(text, place)
            return tuple(flags), match.end() if match else place
        flags.append(Piece(word, begin, place))


def split_json(text: str, start: int) -> JsonWords:
    """Reads a JSON array of strings, from an offset to the end.

    Args:
        text: The joined text, without space at its end.
        start: Where to begin.
    """
    if not text.startswith("[", start):
        return JsonWords(None)
    try:
        values = json.loads(text[start:].strip(SPACE), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return JsonWords(None)
    if not all(isinstance(value, str) for value in values):
        return JsonWords(None, not_strings=True)
    places = _JSON_STRING.finditer(text, start)
    # A surrogate alone is no character, in Go's reading neither.
    return JsonWords(
        tuple(
            Piece(re.sub("[\ud800-\udfff]", "\ufffd", value), place.start(), place.end())
            for value, place in zip(values, places, strict=True)
        )
    )


def _refuse(constant: str) -> object:
    raise ValueError(constant)
