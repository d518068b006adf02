"""Positions in a text: offsets, lines and columns, in characters and in bytes."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a text, by offsets; the end is exclusive."""

    start: int
    end: int

    def holds(self, offset: int) -> bool:
        """Whether a cursor at the offset is inside the piece or at one of its ends."""
        return self.start <= offset <= self.end


class Position(NamedTuple):
    """A position in a text, between two characters. All numbers count from 0."""

    line: int
    column: int  # Characters before it in its line.
    byte: int  # Bytes before it in the text, as UTF-8.


class Source:
    """A text and the starts of its lines. Only line feeds end a line, as in BuildKit."""

    def __init__(self, text: str) -> None:
        self.text = text
        #: Offset of the first character of each line; there is at least one line.
        self.starts = [0, *(feed.end() for feed in re.finditer("\n", text))]

    @cached_property
    def _byte_starts(self) -> list[int]:
        if self.text.isascii():
            return self.starts
        above = self.text.split("\n")[:-1]
        return [*accumulate((_bytes(line) + 1 for line in above), initial=0)]

    def line_at(self, offset: int) -> int:
        return bisect_right(self.starts, offset) - 1

    def line_end(self, line: int) -> int:
        if line + 1 < len(self.starts):
            return self.starts[line + 1] - 1
        return len(self.text)

    def offset(self, line: int, column: int) -> int:
        """The offset of a position, clamped to the end of its line and of the text."""
        if line >= len(self.starts):
            return len(self.text)
        line = max(line, 0)
        return min(self.starts[line] + max(column, 0), self.line_end(line))

    def position(self, offset: int) -> Position:
        offset = max(0, min(offset, len(self.text)))
        line = self.line_at(offset)
        start = self.starts[line]
        byte = self._byte_starts[line] + _bytes(self.text[start:offset])
        return Position(line, offset - start, byte)

    def slice(self, span: Span) -> str:
        return self.text[span.start : span.end]


def _bytes(text: str) -> int:
    """The length of a text in UTF-8; a lone surrogate that represents a byte counts as one."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return len(text.encode("utf-8", "surrogatepass"))
