"""Splits the text of an instruction into words, by the different rules of instructions."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from layerscope.dockerfile.syntax.lines import BLANK, SPACE

_WORD = re.compile(f"[^{BLANK}]+")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SPACES = re.compile(f"[{SPACE}]*")
_QUOTED_ELSEWHERE = re.compile("[\"'\\\\`]")
_ANY_WORD = re.compile(f"[^{SPACE}]+")


class Piece(NamedTuple):
    """A piece of a joined text and its offsets there."""

    text: str
    start: int
    end: int


class NotStringsError(ValueError):
    """A JSON array has items that are not strings, which BuildKit rejects."""


def split_blank(text: str, start: int) -> tuple[Piece, ...]:
    """Words separated by blanks, from an offset; quotes have no meaning."""
    return tuple(Piece(m[0], m.start(), m.end()) for m in _WORD.finditer(text, start))


def split_quoted(text: str, start: int, escape: str) -> tuple[Piece, ...]:
    """Words separated by spaces, from an offset; quotes and escapes protect spaces, and stay."""
    if _QUOTED_ELSEWHERE.search(text, start) is None:
        return tuple(Piece(m[0], m.start(), m.end()) for m in _ANY_WORD.finditer(text, start))
    words: list[Piece] = []
    place = start
    while place < len(text):
        if text[place] in SPACE:
            place += 1
            continue
        begin = place
        word, place = _quoted_word(text, place, escape, raw=True)
        if word:
            words.append(Piece(word, begin, place))
    return tuple(words)


def _quoted_word(text: str, place: int, escape: str, *, raw: bool) -> tuple[str, int]:
    """The word at a place, and its end.

    If `raw`, quotes and escapes stay, and single quotes protect escapes.
    """
    kept: list[str] = []
    quote = ""
    while place < len(text):
        char = text[place]
        if char == escape and not (raw and quote == "'"):
            # One at the very end is dropped.
            following = text[place + 1 : place + 2]
            kept.append(escape + following if raw and following else following)
            place += 2
            continue
        if quote:
            marks = char == quote
            quote = "" if marks else quote
        elif char in SPACE:
            break
        else:
            marks = char in "\"'"
            quote = char if marks else ""
        if raw or not marks:
            kept.append(char)
        place += 1
    return "".join(kept), min(place, len(text))


def split_flags(text: str, start: int, escape: str) -> tuple[tuple[Piece, ...], int]:
    """The leading words that start with `--`, and the start of the arguments.

    Removes quotes and escapes, as BuildKit does. A word `--` ends the flags.
    """
    flags: list[Piece] = []
    place = start
    while True:
        match = _SPACES.match(text, place)
        place = match.end() if match else place
        if not text.startswith("--", place):
            return tuple(flags), place
        begin = place
        word, place = _quoted_word(text, place, escape, raw=False)
        if word == "--":
            match = _SPACES.match(text, place)
            return tuple(flags), match.end() if match else place
        flags.append(Piece(word, begin, place))


def split_json(text: str, start: int) -> tuple[Piece, ...] | None:
    """The strings of a JSON array that extends from an offset to the end of a text.

    Returns None if it is not a JSON array. Raises NotStringsError if it has other items.
    """
    try:
        values = json.loads(text[start:].strip(SPACE), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise NotStringsError
    places = _JSON_STRING.finditer(text, start)
    # Like Go, replace lone surrogates.
    return tuple(
        Piece(re.sub("[\ud800-\udfff]", "\ufffd", value), place.start(), place.end())
        for value, place in zip(values, places, strict=True)
    )


def _refuse(constant: str) -> object:
    raise ValueError(constant)
