"""Places in a text: offsets, lines and columns, in characters and in bytes."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a text.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last one.
    """

    start: int
    end: int

    def holds(self, offset: int) -> bool:
        """Whether a cursor at the offset is in the piece or at one of its ends."""
        return self.start <= offset <= self.end


class Position(NamedTuple):
    """A place in a text, between two characters. Everything counts from 0.

    Attributes:
        line: The line.
        column: Characters before it in its line.
        byte: Bytes before it in the text, as UTF-8.
        byte_column: Bytes before it in its line.
    """

    line: int
    column: int
    byte: int
    byte_column: int


class Range(NamedTuple):
    """A piece of a text, by positions.

    Attributes:
        start: Where it begins.
        end: Where it ends; what is there is not in it.
    """

    start: Position
    end: Position


class Source:
    """A text and where its lines begin. Only line feeds end a line, as in BuildKit.

    Attributes:
        text: The text.
        starts: Offset of the first character of each line; there is at least one line.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        starts = [0]
        place = text.find("\n")
        while place >= 0:
            starts.append(place + 1)
            place = text.find("\n", place + 1)
        self.starts = starts

    @cached_property
    def _byte_starts(self) -> list[int]:
        """Bytes before each line."""
        if self.text.isascii():
            return self.starts
        total = 0
        result = []
        for line, start in enumerate(self.starts):
            result.append(total)
            end = self.starts[line + 1] if line + 1 < len(self.starts) else len(self.text)
            total += _bytes(self.text[start:end])
        return result

    def line_at(self, offset: int) -> int:
        """The line that an offset is in."""
        return bisect_right(self.starts, offset) - 1

    def line_end(self, line: int) -> int:
        """Offset of the end of a line, before its line feed."""
        if line + 1 < len(self.starts):
            return self.starts[line + 1] - 1
        return len(self.text)

    def offset(self, line: int, column: int) -> int:
        """The offset of a place; one beyond the end of its line or the text is that end."""
        if line >= len(self.starts):
            return len(self.text)
        line = max(line, 0)
        return min(self.starts[line] + max(column, 0), self.line_end(line))

    def position(self, offset: int) -> Position:
        """The position of an offset."""
        offset = max(0, min(offset, len(self.text)))
        line = self.line_at(offset)
        start = self.starts[line]
        byte_column = _bytes(self.text[start:offset])
        return Position(line, offset - start, self._byte_starts[line] + byte_column, byte_column)

    def range(self, span: Span) -> Range:
        """The positions of a piece."""
        return Range(self.position(span.start), self.position(span.end))

    def slice(self, span: Span) -> str:
        """The text of a piece."""
        return self.text[span.start : span.end]


def _bytes(text: str) -> int:
    """How many bytes a text has as UTF-8; a lone surrogate that stands for a byte counts as one."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return len(text.encode("utf-8", "surrogatepass"))
