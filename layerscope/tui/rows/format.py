"""Fits text into cells and columns; renders bars and short forms of values."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.style import Style

from layerscope.text import plural as plural
from layerscope.tui.terminal import glyphs

#: A piece of text in one style; a line is a list of them.
Piece = tuple[str, Style]
Line = list[Piece]


class Heading(NamedTuple):
    """The heading of a sortable column."""

    start: int  # Its first cell.
    end: int  # The cell after it.
    key: str  # Its sort key.


# By EntryType; whiteouts are never listed.
_LETTERS = "--ldcbp??"


def cut(text: str, width: int) -> str:
    """Shortens a text to at most `width` cells, with an ellipsis at the end."""
    # Does not measure text beyond the width of any terminal.
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return text
    if width <= 0:
        return ""
    text = text[: 4 * width]
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + glyphs.ELLIPSIS


def tail(text: str, width: int) -> str:
    """Shortens a text with an ellipsis at the start, since the end of a path matters more."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    while cells(text) > width - 1:
        text = text[max(1, len(text) - width) :] if len(text) > 2 * width else text[1:]
    return glyphs.ELLIPSIS + text


def left(text: str, width: int) -> str:
    text = cut(text, width)
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    text = cut(text, width)
    return " " * (width - cells(text)) + text


def cells(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def count(number: int) -> str:
    """Formats a number in at most five cells: `1,204`, `12.3k`, `174k`."""
    if number < 10_000:
        return f"{number:,}"
    if number < 99_950:
        return f"{number / 1000:.1f}k"
    if number < 999_500:
        return f"{number / 1000:.0f}k"
    return f"{number / 1e6:.1f}M"


def bar(share: float, width: int) -> str:
    """Returns a bar for a share, to half a cell; never empty for a share above 0."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    if share > 0:
        halves = max(1, halves)
    return (glyphs.BAR * (halves // 2) + glyphs.HALF_BAR * (halves % 2)).ljust(width)


def mode(kind: int, bits: int) -> str:
    """Formats type and permissions as `ls -l` does, with setuid, setgid and sticky."""
    return _LETTERS[kind] + stat.filemode(bits & 0o7777)[1:]


def moment(unix: int) -> str:
    try:
        return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def percent(share: float) -> str:
    """Formats a share in percent, never rounded up to 100."""
    value = share * 100
    return "100%" if share >= 1 else f"{min(value, 99.9):.1f}%"


def wrap(text: str, width: int) -> list[str]:
    """Wraps a text at spaces, into lines of at most `width` cells.

    Breaks a word that is too long after a slash or comma if the line is then long enough.
    """
    width = max(1, width)
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while cells(word) > width:
            head = _head(word, width)
            lines.append(head)
            word = word[len(head) :]
        line = word
    if line or not lines:
        lines.append(line)
    return lines


def wrapped(texts: Sequence[tuple[str, str]], width: int, height: int) -> list[tuple[str, str]]:
    """Wraps paragraphs; drops blank lines if they do not fit."""
    lines = [(line, style) for text, style in texts for line in wrap(text, width)]
    return lines if len(lines) <= height else [line for line in lines if line[0]]


def _head(word: str, width: int) -> str:
    """Returns as many characters as fit, at least one; ends after a slash or comma if possible."""
    end = width
    while end > 1 and cells(word[:end]) > width:
        end -= 1
    joint = max(word.rfind(mark, 0, end) for mark in "/,") + 1
    return word[: joint if joint > end // 3 else end]


def length(line: Line) -> int:
    return sum(cells(text) for text, _ in line)


def clipped(line: Line, width: int) -> Line:
    """Cuts a line to at most `width` cells."""
    found: Line = []
    for text, style in line:
        room = width - length(found)
        if cells(text) > room:
            return [*found, (cut(text, room), style)]
        found.append((text, style))
    return found
