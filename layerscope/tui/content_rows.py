"""The rows of a file as text and as hexadecimal, in pieces with a category each."""

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
from layerscope.tui.syntax import CURRENT, MATCH

#: Text and category.
Piece = tuple[str, int]

#: Rows that are kept ready to be painted.
_KEPT = 400

#: Matches of one row that are marked.
_MARKED = 200


class Rows(Protocol):
    """What can be scrolled through."""

    @property
    def count(self) -> int:
        """How many rows are there."""

    def pieces(self, number: int) -> list[Piece]:
        """A row."""

    def gutter(self, number: int) -> str:
        """What stands at its left."""

    def row_at(self, offset: int) -> int:
        """The row that a byte is in."""

    def offset_of(self, number: int) -> int:
        """The first byte of a row."""


class Filling(RandomAccess, Protocol):
    """Content of which not all may be there yet."""

    @property
    def available(self) -> int:
        """How many bytes are."""


class _There:
    """What is there of content, so that a screen never waits for the rest."""

    def __init__(self, content: Filling) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return self._content.available

    def read(self, offset: int, length: int) -> bytes:
        return self._content.read(offset, max(0, min(length, self._content.available - offset)))


class TextRows:
    """Lines of text.

    Attributes:
        encoding: How it is encoded.
        index: Where its lines are.
        spans: What is known of the rows' syntax.
        matches: What a search has found.
        current: Offset of the match that the user is at; -1 for none.
    """

    def __init__(self, source: Filling, encoding: str) -> None:
        self.encoding = encoding
        self.index = LineIndex(source, encoding)
        self.spans: dict[int, list[Span]] = {}
        self.matches: Matches | None = None
        self.current = -1
        self._source = _There(source)
        self._kept: OrderedDict[int, list[Piece]] = OrderedDict()

    @property
    def count(self) -> int:
        """See `Rows.count`."""
        return self.index.rows

    def text(self, number: int) -> str:
        """A row as it is, not safe to show."""
        return row_text(self._source, self.index.row(number), self.encoding)

    def forget(self) -> None:
        """Makes rows anew: there are other matches, or more is known of the syntax."""
        self._kept.clear()

    def pieces(self, number: int) -> list[Piece]:
        """See `Rows.pieces`."""
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
        """See `Rows.gutter`."""
        width = max(3, len(str(self.index.lines)))
        row = self.index.row(number)
        return f"{row.line + 1 if row.first else '':>{width}} "

    def row_at(self, offset: int) -> int:
        """See `Rows.row_at`."""
        return self.index.row_at(offset)

    def offset_of(self, number: int) -> int:
        """See `Rows.offset_of`."""
        return self.index.row(number).start

    def column_at(self, offset: int) -> int:
        """The column of a byte in its row."""
        row = self.index.row(self.index.row_at(offset))
        head = row_text(
            self._source, Row(row.start, max(row.start, offset), row.line, row.first), self.encoding
        )
        return sum(cells(text) for text, _ in shown(head))

    def _matching(self, row: Row, text: str) -> list[Span]:
        """Where matches begin and end in the text of a row, with what marks them."""
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
    """Spans with the matches marked in them."""
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
    """Bytes in hexadecimal.

    Attributes:
        width: How many bytes a row has.
        available: How many bytes can be shown.
        matches: What a search has found.
        current: Offset of the match that the user is at; -1 for none.
    """

    def __init__(self, source: RandomAccess, columns: int) -> None:
        self._source = source
        self._digits = hex_digits(source.size)
        self.width = hex_width(columns, self._digits)
        self.available = 0
        self.matches: Matches | None = None
        self.current = -1

    @property
    def count(self) -> int:
        """See `Rows.count`."""
        return -(-self.available // self.width)

    def gutter(self, number: int) -> str:
        """See `Rows.gutter`."""
        return f"{number * self.width:0{self._digits}x}  "

    def pieces(self, number: int) -> list[Piece]:
        """See `Rows.pieces`."""
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
            # What is between two bytes of a match belongs to it.
            pieces.append((text[2:], mark if marks.get(index + 1) == mark else 0))
        pieces.append((" ", 0))
        for index, letter in enumerate(letters):
            shown_as = letter != "." or data[index] == ord(".")
            kind = 0 if shown_as else int(Category.COMMENT)
            pieces.append((letter, kind + marks.get(index, 0)))
        return _joined(pieces)

    def row_at(self, offset: int) -> int:
        """See `Rows.row_at`."""
        return min(offset, max(0, self.available - 1)) // self.width

    def offset_of(self, number: int) -> int:
        """See `Rows.offset_of`."""
        return number * self.width

    def _marks(self, start: int, length: int) -> dict[int, int]:
        """What marks the bytes of a row, by their number in it."""
        matches = self.matches
        marks: dict[int, int] = {}
        if matches is None or not matches.count:
            return marks
        # A match may be as long as several rows.
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
    """A row in lines of at most so many columns; one at least."""
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
    """The columns of a row from `left` on; half of a wide character is a blank."""
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
