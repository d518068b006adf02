"""Lines of text, and bytes in hexadecimal, in a form that is safe and fits on a screen."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from layerscope.content.access import RandomAccess
from layerscope.content.lines import Row
from layerscope.text import visible_pieces

TAB = 8

#: The category of what stands for a character that is not shown as it is.
ESCAPE = -1

#: Begin, end and category of a part of a line; ends are exclusive, parts do not overlap.
Span = tuple[int, int, int]

_ASCII = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))


def row_text(source: RandomAccess, row: Row, encoding: str) -> str:
    """A row as text. What cannot be decoded becomes lone surrogates, which are shown as escapes.

    Args:
        source: The content.
        row: The row.
        encoding: As `text_encoding` tells it.
    """
    # UTF-8 has at most three bytes behind the first of a character. A long line is cut anywhere.
    more = 3 if encoding in ("ascii", "utf-8", "utf-8-sig") else 0
    data = source.read(row.start, row.end - row.start + more)
    start, end = 0, row.end - row.start
    if more:
        while not row.first and start < more and _continues(data, start):
            start += 1
        tail = end
        while tail < len(data) and _continues(data, tail):
            tail += 1
        end = tail
    data = data[start:end]
    if encoding.startswith("utf-16"):
        text = data.decode(encoding, "replace")
    elif encoding == "latin-1":
        text = data.decode("latin-1")
    else:
        text = data.decode("utf-8", "surrogateescape")
    if text.endswith("\r"):
        text = text[:-1]
    # A mark at the beginning is part of the encoding, not of the text.
    return text[1:] if row.start == 0 and text[:1] == "\ufeff" else text


def _continues(data: bytes, at: int) -> bool:
    return at < len(data) and data[at] & 0xC0 == 0x80


def shown(text: str, spans: Iterable[Span] = ()) -> list[tuple[str, int]]:
    """A line in pieces that are safe on a terminal, each with its category.

    Tabs are expanded. Characters that a terminal would obey, or that hide, become escapes of the
    category `ESCAPE`.

    Args:
        text: The line.
        spans: Categories of parts of it, in order; what is in none has category 0.
    """
    pieces: list[tuple[str, int]] = []
    column = 0
    for part, category in _parts(text, spans):
        if part.isascii() and part.isprintable():
            pieces.append((part, category))
            column += len(part)
            continue
        for index, run in enumerate(part.split("\t")):
            if index:
                blanks = TAB - column % TAB
                pieces.append((" " * blanks, category))
                column += blanks
            for piece, hostile in visible_pieces(run):
                pieces.append((piece, ESCAPE if hostile else category))
                column += cells(piece)
    return pieces


def _parts(text: str, spans: Iterable[Span]) -> Iterator[tuple[str, int]]:
    reached = 0
    for begin, end, category in spans:
        begin, end = max(begin, reached), min(end, len(text))
        if begin >= end:
            continue
        if begin > reached:
            yield text[reached:begin], 0
        yield text[begin:end], category
        reached = end
    if reached < len(text):
        yield text[reached:], 0


def cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def hex_width(columns: int, digits: int) -> int:
    """How many bytes fit in a line of hexadecimal: 32, 16 or 8; 4 at least.

    Args:
        columns: Columns of the screen.
        digits: How many digits offsets have.
    """
    for count in (32, 16, 8):
        if digits + 2 + 3 * count + (count - 1) // 8 + 1 + count <= columns:
            return count
    return 4


def hex_digits(size: int) -> int:
    """How many digits the offsets of so many bytes have."""
    return max(8, len(f"{size:x}"))


def hex_text(data: bytes, count: int) -> tuple[str, str]:
    """Bytes in hexadecimal, in groups of eight, and as characters.

    Args:
        data: At most `count` bytes.
        count: How many a full line has; the first text is as long as for so many.
    """
    groups = [data[at : at + 8].hex(" ") for at in range(0, len(data), 8)]
    return "  ".join(groups).ljust(hex_column(count - 1) + 2), data.translate(_ASCII).decode(
        "ascii"
    )


def hex_column(index: int) -> int:
    """The column of a byte in the first text of `hex_text`."""
    return 3 * index + index // 8
