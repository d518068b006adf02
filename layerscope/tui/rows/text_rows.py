"""The rows of a file as text or hexadecimal, in pieces with categories."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from itertools import pairwise
from typing import Protocol

from layerscope.content.access import RandomAccess
from layerscope.content.display import (
    Span,
    cells,
    hex_column,
    hex_digits,
    hex_text,
    hex_width,
    row_text,
    shown,
)
from layerscope.content.finding import Matches
from layerscope.content.highlight import Category
from layerscope.content.lines import LineIndex, Row
from layerscope.tui.terminal.syntax import CURRENT, MATCH

#: Text and category.
Piece = tuple[str, int]

#: Rows kept for repainting.
_KEPT = 400

#: The most matches to mark in a row.
_MARKED = 200


class Rows(Protocol):
    """Rows that can be scrolled."""

    @property
    def count(self) -> int: ...

    def pieces(self, number: int) -> list[Piece]: ...

    def gutter(self, number: int) -> str: ...

    def row_at(self, offset: int) -> int: ...

    def offset_of(self, number: int) -> int: ...


class Filling(RandomAccess, Protocol):
    """Content that may still be loading."""

    @property
    def available(self) -> int: ...


class _There:
    """The loaded part of content, so that the screen never waits for the rest."""

    def __init__(self, content: Filling) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return self._content.available

    def read(self, offset: int, length: int) -> bytes:
        return self._content.read(offset, max(0, min(length, self._content.available - offset)))


class TextRows:
    def __init__(self, source: Filling, encoding: str) -> None:
        self.encoding = encoding
        self.index = LineIndex(source, encoding)
        self.spans: dict[int, list[Span]] = {}  # The known syntax, by row.
        self.matches: Matches | None = None  # What a search has found.
        self.current = -1  # Offset of the match that the user is at; -1 for none.
        self._source = _There(source)
        self._kept: OrderedDict[int, list[Piece]] = OrderedDict()

    @property
    def count(self) -> int:
        return self.index.rows

    def text(self, number: int) -> str:
        return row_text(self._source, self.index.row(number), self.encoding)

    def forget(self) -> None:
        """Drops rendered rows: the matches or the syntax have changed."""
        self._kept.clear()

    def pieces(self, number: int) -> list[Piece]:
        known = self._kept.get(number)
        if known is not None:
            return known
        row = self.index.row(number)
        text = row_text(self._source, row, self.encoding)
        spans = self.spans.get(number, [])
        found = self._matching(row, text)
        pieces = shown(text, _marked(spans, found, len(text)) if found else spans)
        self._kept[number] = pieces
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return pieces

    def gutter(self, number: int) -> str:
        width = max(3, len(str(self.index.lines)))
        row = self.index.row(number)
        return f"{row.line + 1 if row.first else '':>{width}} "

    def row_at(self, offset: int) -> int:
        return self.index.row_at(offset)

    def offset_of(self, number: int) -> int:
        return self.index.row(number).start

    def column_at(self, offset: int) -> int:
        row = self.index.row(self.index.row_at(offset))
        head = row_text(
            self._source, Row(row.start, max(row.start, offset), row.line, row.first), self.encoding
        )
        return sum(cells(text) for text, _ in shown(head))

    def _matching(self, row: Row, text: str) -> list[Span]:
        """Returns the spans of matches in the text of a row, with their marks."""
        matches = self.matches
        if matches is None or not matches.count:
            return []
        found: list[Span] = []
        first = max(0, bisect_right(matches.offsets, row.start) - 1)
        last = bisect_left(matches.offsets, max(row.end, row.start + 1))
        for at in range(first, min(last, first + _MARKED)):
            start, length = matches.offsets[at], matches.lengths[at]
            begin, end = max(start, row.start), min(start + length, row.end)
            if begin < end:
                mark = CURRENT if start == self.current else MATCH
                left, right = (self._characters(row, text, at) for at in (begin, end))
                found.append((left, right, mark))
        return found

    def _characters(self, row: Row, text: str, offset: int) -> int:
        if text.isascii() and not self.encoding.startswith("utf-16"):
            return offset - row.start
        head = Row(row.start, offset, row.line, row.first)
        return len(row_text(self._source, head, self.encoding))


def _marked(spans: list[Span], found: list[Span], length: int) -> list[Span]:
    edges = {0, length, *(at for begin, end, _ in (*spans, *found) for at in (begin, end))}
    result = []
    starts, lefts = [begin for begin, _, _ in spans], [begin for begin, _, _ in found]
    for begin, end in pairwise(sorted(edges)):
        at = bisect_right(starts, begin) - 1
        category = spans[at][2] if at >= 0 and begin < spans[at][1] else 0
        at = bisect_right(lefts, begin) - 1
        if at >= 0 and begin < found[at][1]:
            category += found[at][2]
        result.append((begin, end, category))
    return result


class HexRows:
    def __init__(self, source: RandomAccess, columns: int) -> None:
        self._source = source
        self._digits = hex_digits(source.size)
        self.width = hex_width(columns, self._digits)  # Bytes per row.
        self.available = 0  # Bytes that can be shown.
        self.matches: Matches | None = None  # What a search has found.
        self.current = -1  # Offset of the match that the user is at; -1 for none.

    @property
    def count(self) -> int:
        return -(-self.available // self.width)

    def gutter(self, number: int) -> str:
        return f"{number * self.width:0{self._digits}x}  "

    def pieces(self, number: int) -> list[Piece]:
        start = number * self.width
        data = self._source.read(start, min(self.width, self.available - start))
        digits, letters = hex_text(data, self.width)
        marks = self._marks(start, len(data))
        pieces: list[Piece] = []
        for index, byte in enumerate(data):
            begin = hex_column(index)
            end = hex_column(index + 1) if index + 1 < len(data) else len(digits) + 1
            kind = 0 if byte else int(Category.COMMENT)
            text = f"{digits[begin:end]:{end - begin}}"
            mark = marks.get(index, 0)
            pieces.append((text[:2], kind + mark))
            # A match includes the gaps between its bytes.
            pieces.append((text[2:], mark if marks.get(index + 1) == mark else 0))
        pieces.append((" ", 0))
        for index, letter in enumerate(letters):
            shown_as = letter != "." or data[index] == ord(".")
            kind = 0 if shown_as else int(Category.COMMENT)
            pieces.append((letter, kind + marks.get(index, 0)))
        return _joined(pieces)

    def row_at(self, offset: int) -> int:
        return min(offset, max(0, self.available - 1)) // self.width

    def offset_of(self, number: int) -> int:
        return number * self.width

    def _marks(self, start: int, length: int) -> dict[int, int]:
        """Returns the marks of a row's bytes, by index."""
        matches = self.matches
        marks: dict[int, int] = {}
        if matches is None or not matches.count:
            return marks
        # A match can span several rows.
        first = bisect_left(matches.offsets, start - 4096)
        for at in range(first, bisect_left(matches.offsets, start + length)):
            begin = matches.offsets[at] - start
            mark = CURRENT if matches.offsets[at] == self.current else MATCH
            for index in range(max(0, begin), min(length, begin + matches.lengths[at])):
                marks[index] = mark
        return marks


def _joined(pieces: list[Piece]) -> list[Piece]:
    result: list[Piece] = []
    for text, kind in pieces:
        if result and result[-1][1] == kind:
            result[-1] = (result[-1][0] + text, kind)
        else:
            result.append((text, kind))
    return result


def wrapped(pieces: list[Piece], width: int) -> list[list[Piece]]:
    """Wraps a row into lines of at most `width` columns; at least one line."""
    lines: list[list[Piece]] = [[]]
    room = width
    for text, kind in pieces:
        if text.isascii():
            while len(text) > room:
                if room:
                    lines[-1].append((text[:room], kind))
                lines.append([])
                text, room = text[room:], width
            lines[-1].append((text, kind))
            room -= len(text)
            continue
        begin = 0
        for at, character in enumerate(text):
            size = cells(character)
            if size > room:
                lines[-1].append((text[begin:at], kind))
                lines.append([])
                begin, room = at, width
            room -= size
        lines[-1].append((text[begin:], kind))
    return lines


def sliced(pieces: list[Piece], left: int, width: int) -> list[Piece]:
    """Returns the columns of a row from `left`; half of a wide character becomes a space."""
    result: list[Piece] = []
    at = 0
    for text, kind in pieces:
        size = cells(text)
        if at + size <= left:
            at += size
            continue
        if at >= left + width:
            break
        if text.isascii():
            result.append((text[max(0, left - at) : left + width - at], kind))
        else:
            result.append((_cut_wide(text, left - at, left + width - at), kind))
        at += size
    return result


def _cut_wide(text: str, begin: int, end: int) -> str:
    cut = []
    at = 0
    for character in text:
        size = cells(character)
        if at >= end:
            break
        if at >= begin and at + size <= end:
            cut.append(character)
        elif at + size > begin and size == 2:
            cut.append(" ")
        at += size
    return "".join(cut)
