"""Quoting in shell text, as far as a formatter needs it."""

from __future__ import annotations

PLAIN, QUOTED, ESCAPED = 0, 1, 2  # The state of a character.


def quoting(text: str, escape: str = "\\") -> bytes:
    """For each character, whether it is plain, quoted (including the quotes), or escaped."""
    result = bytearray(len(text))
    quote = ""
    place = 0
    while place < len(text):
        char = text[place]
        if quote:
            result[place] = QUOTED
            if char == escape and quote == '"' and place + 1 < len(text):
                place += 1
                result[place] = QUOTED
            elif char == quote:
                quote = ""
        elif char == escape and place + 1 < len(text):
            result[place] = ESCAPED
            place += 1
            result[place] = ESCAPED
        elif char in "\"'":
            quote = char
            result[place] = QUOTED
        place += 1
    return bytes(result)


def folded(text: str, escape: str = "\\") -> str:
    """Replaces each run of unquoted spaces with one.

    Texts that fold to the same text are equivalent in a shell and in BuildKit's word splitting.
    """
    marks = quoting(text, escape)
    result: list[str] = []
    for char, mark in zip(text, marks, strict=True):
        if mark == PLAIN and char in " \t":
            if not result or result[-1] != " ":
                result.append(" ")
        else:
            # A quoted space must not look like a folded one.
            result.append(char if mark == PLAIN or char not in " " else "\0 ")
    return "".join(result).strip(" ")
