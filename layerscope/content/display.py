"""Lines of text, and bytes in hexadecimal, in a form that is safe and fits on a screen."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from layerscope.content.access import RandomAccess
from layerscope.content.lines import Row
from layerscope.text import visible_pieces

TAB = 8

#: The category of an escape for a character that cannot be shown.
ESCAPE = -1

#: Start, end (exclusive) and category of a part of a line; parts do not overlap.
Span = tuple[int, int, int]

_ASCII = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))


def row_text(source: RandomAccess, row: Row, encoding: str) -> str:
    """A row as text. Bytes that cannot be decoded become lone surrogates, shown as escapes.

    `encoding` is what `text_encoding` returned.
    """
    # UTF-8 has up to three bytes after the first of a character. A long line is cut anywhere.
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
    # A byte order mark is not part of the text.
    return text[1:] if row.start == 0 and text[:1] == "\ufeff" else text


def _continues(data: bytes, at: int) -> bool:
    return at < len(data) and data[at] & 0xC0 == 0x80


def shown(text: str, spans: Iterable[Span] = ()) -> list[tuple[str, int]]:
    """A line in pieces that are safe on a terminal, each with its category.

    Tabs are expanded. Control and invisible characters become escapes of the category `ESCAPE`.

    `spans` are in order; the rest of the line has category 0.
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
    if text.isascii():
        return len(text)
    return sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def hex_width(columns: int, digits: int) -> int:
    """The number of bytes that fit in a line of hexadecimal: 32, 16, 8, or at least 4.

    `digits` is the number of digits of offsets.
    """
    for count in (32, 16, 8):
        if digits + 2 + 3 * count + (count - 1) // 8 + 1 + count <= columns:
            return count
    return 4


def hex_digits(size: int) -> int:
    return max(8, len(f"{size:x}"))


def hex_text(data: bytes, count: int) -> tuple[str, str]:
    """Bytes in hexadecimal, in groups of eight, and as characters.

    A full line has `count` bytes; the first text is padded to its length.
    """
    groups = [data[at : at + 8].hex(" ") for at in range(0, len(data), 8)]
    return "  ".join(groups).ljust(hex_column(count - 1) + 2), data.translate(_ASCII).decode(
        "ascii"
    )


def hex_column(index: int) -> int:
    """The column of a byte in the first text of `hex_text`."""
    return 3 * index + index // 8
