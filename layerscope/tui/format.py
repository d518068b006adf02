"""Text made to fit: cells, columns, bars and the short forms that lists use."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.style import Style

from layerscope.tui import glyphs

#: A piece of text in one style; a line is a list of them.
Piece = tuple[str, Style]
Line = list[Piece]


class Heading(NamedTuple):
    """The heading of a column that rows can be sorted by.

    Attributes:
        start: Its first cell.
        end: The cell behind it.
        key: What the pane calls the order.
    """

    start: int
    end: int
    key: str


# By EntryType; whiteouts are never shown as entries.
_LETTERS = "--ldcbp??"


def cut(text: str, width: int) -> str:
    """A text that takes at most so many cells; an ellipsis stands for what was cut off."""
    # What follows beyond any terminal's width need not be measured.
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return text
    if width <= 0:
        return ""
    text = text[: 4 * width]
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + glyphs.ELLIPSIS


def left(text: str, width: int) -> str:
    """A text in exactly so many cells, at the left."""
    text = cut(text, width)
    return text + " " * (width - _cells(text))


def right(text: str, width: int) -> str:
    """A text in exactly so many cells, at the right."""
    text = cut(text, width)
    return " " * (width - _cells(text)) + text


def _cells(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def count(number: int) -> str:
    """A number in at most five cells: `1,204`, `12.3k`, `174k`."""
    if number < 10_000:
        return f"{number:,}"
    if number < 99_950:
        return f"{number / 1000:.1f}k"
    if number < 999_500:
        return f"{number / 1000:.0f}k"
    return f"{number / 1e6:.1f}M"


def plural(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def bar(share: float, width: int) -> str:
    """A line that fills a share of its width, to half a cell; never empty for a little."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    if share > 0:
        halves = max(1, halves)
    return (glyphs.BAR * (halves // 2) + glyphs.HALF_BAR * (halves % 2)).ljust(width)


def mode(kind: int, bits: int) -> str:
    """Type and permissions as `ls -l` shows them.

    Args:
        kind: An `EntryType`.
        bits: Permission bits, setuid, setgid and sticky included.
    """
    return _LETTERS[kind] + stat.filemode(bits & 0o7777)[1:]


def moment(unix: int) -> str:
    """A time, in UTC, as lists show it."""
    try:
        return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def percent(share: float) -> str:
    """A share in percent, never rounded up to a hundred."""
    value = share * 100
    return "100%" if share >= 1 else f"{min(value, 99.9):.1f}%"


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most so many cells, broken at blanks where there are any.

    A word that is too long is broken behind a slash or comma if there is one far enough in it.
    """
    width = max(1, width)
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if _cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while _cells(word) > width:
            head = _head(word, width)
            lines.append(head)
            word = word[len(head) :]
        line = word
    if line or not lines:
        lines.append(line)
    return lines


def wrapped(texts: Sequence[tuple[str, str]], width: int, height: int) -> list[tuple[str, str]]:
    """Paragraphs as lines, without the blank ones between them if there is no room for these.

    Args:
        texts: Texts, and names of their styles.
        width: Cells of a line.
        height: How many lines fit.
    """
    lines = [(line, style) for text, style in texts for line in wrap(text, width)]
    return lines if len(lines) <= height else [line for line in lines if line[0]]


def _head(word: str, width: int) -> str:
    """As many characters as fit, and at least one; up to a slash or comma rather than in a name."""
    end = width
    while end > 1 and _cells(word[:end]) > width:
        end -= 1
    joint = max(word.rfind(mark, 0, end) for mark in "/,") + 1
    return word[: joint if joint > end // 3 else end]


def length(line: Line) -> int:
    """Cells that a line takes."""
    return sum(_cells(text) for text, _ in line)
