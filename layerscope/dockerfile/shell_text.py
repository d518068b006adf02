"""Which characters of a shell's text stand in quotes, as far as a formatter must know."""

from __future__ import annotations

#: What a character is.
PLAIN, QUOTED, ESCAPED = 0, 1, 2


def quoting(text: str, escape: str = "\\") -> bytes:
    """For each character, whether it is plain, in quotes (the quotes included), or escaped.

    Args:
        text: The text.
        escape: The escape character.
    """
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
    """A text in which each run of plain blanks is one space.

    Two texts with the same folding are the same to a shell, and to BuildKit's splitting of words.
    """
    marks = quoting(text, escape)
    result: list[str] = []
    for char, mark in zip(text, marks, strict=True):
        if mark == PLAIN and char in " \t":
            if not result or result[-1] != " ":
                result.append(" ")
        else:
            # A space that is kept must not be taken for one that may be folded.
            result.append(char if mark == PLAIN or char not in " " else "\0 ")
    return "".join(result).strip(" ")
