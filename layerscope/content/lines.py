"""Where the lines of a text begin, found as far as they are asked for, in little memory.

A line of any length is cut into rows of at most `ROW` bytes, so that nothing that shows or searches
a line can be made slow by one. Rows are found again block by block: a block ends with a line, or,
within a line that is longer than a block, after `BLOCK` bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.content.access import RandomAccess

#: How long a row is at most, in bytes, its line's end not counted.
ROW = 4096

#: How long a block is at most; a multiple of `ROW`.
BLOCK = 256 << 10

#: Blocks whose rows are kept.
_KEPT = 8

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """A line, or a piece of a long one.

    Attributes:
        start: Offset of its first byte.
        end: Offset behind its last, the line's end not among them.
        line: Number of the line, from 0.
        first: Whether the line begins here.
    """

    start: int
    end: int
    line: int
    first: bool


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a block: where each begins and ends, its line, whether that begins there."""

    starts: Offsets
    ends: Offsets
    lines: Offsets
    firsts: npt.NDArray[np.bool_]


class LineIndex:
    """The rows of a text. One thread extends it, any may read what is there.

    Attributes:
        rows: How many rows are known.
        lines: How many lines they are.
        offset: How far the content has been looked through.
        complete: Whether that is all of it.
    """

    def __init__(self, source: RandomAccess, encoding: str = "utf-8") -> None:
        """Makes an index that knows nothing yet.

        Args:
            source: The content.
            encoding: As `text_encoding` tells it.
        """
        self._source = source
        self._dtype = {"utf-16-le": "<u2", "utf-16-be": ">u2"}.get(encoding, "u1")
        self._unit = 2 if encoding.startswith("utf-16") else 1
        # Of each block: its offset, the numbers of its first row and of that row's line, and
        # whether it begins inside that line.
        self._offsets: list[int] = []
        self._first_rows: list[int] = []
        self._first_lines: list[int] = []
        self._inside: list[bool] = []
        self._inside_line = False
        self._cache: OrderedDict[int, _Rows] = OrderedDict()
        self.rows = 0
        self.lines = 0
        self.offset = 0
        self.complete = False

    def extend(self, enough: Callable[[], bool]) -> None:
        """Looks through more of the content.

        Args:
            enough: Asked before each block whether to stop; may raise.
        """
        while not self.complete and not enough():
            begin = self.offset
            # One more than a block, so that a line's end is not parted from the line.
            wanted = BLOCK + self._unit
            data = self._source.read(begin, wanted)
            last = begin + len(data) >= self._source.size or len(data) < wanted
            data, breaks = self._cut(data, last)
            if data:
                inside = self._inside_line
                starts, _, counts = self._segments(data, breaks)
                self._first_lines.append(self.lines - inside)
                self._inside.append(inside)
                self._offsets.append(begin)
                self._first_rows.append(self.rows)
                self._inside_line = not len(breaks)
                self.lines += len(starts) - inside
                self.offset = begin + len(data)
                # Last, because other threads ask for rows below this number.
                self.rows += int(counts.sum())
            self.complete = (last and self.offset >= self._source.size) or not data

    def row(self, number: int) -> Row:
        """A row by its number.

        Raises:
            IndexError: It is not known.
        """
        if not 0 <= number < self.rows:
            raise IndexError(number)
        block = bisect_right(self._first_rows, number) - 1
        rows = self._block(block)
        at = number - self._first_rows[block]
        return Row(
            int(rows.starts[at]), int(rows.ends[at]), int(rows.lines[at]), bool(rows.firsts[at])
        )

    def row_at(self, offset: int) -> int:
        """The number of the row that a byte is in, of those that are known."""
        if not self.rows:
            return 0
        block = max(0, bisect_right(self._offsets, offset) - 1)
        inside = int(np.searchsorted(self._block(block).starts, offset, "right")) - 1
        return self._first_rows[block] + max(0, inside)

    def row_of_line(self, line: int) -> int:
        """The number of the row that a line begins with; the last row if it is not known."""
        if line >= self.lines or not self.rows:
            return max(0, self.rows - 1)
        block = max(0, bisect_right(self._first_lines, line) - 1)
        while block and self._inside[block] and self._first_lines[block] == line:
            block -= 1
        rows = self._block(block)
        found = np.flatnonzero(rows.firsts & (rows.lines == line))
        return self._first_rows[block] + int(found[0])

    def _cut(self, data: bytes, last: bool) -> tuple[bytes, Offsets]:
        """The part of some bytes that makes a block, and where it has line breaks."""
        usable = len(data) // self._unit * self._unit
        breaks: Offsets = np.flatnonzero(
            np.frombuffer(data, self._dtype, usable // self._unit) == 10
        )
        breaks *= self._unit
        if len(breaks) and not last:
            data = data[: int(breaks[-1]) + self._unit]
        elif not last:
            data = data[:BLOCK]
        return data, breaks

    def _segments(self, data: bytes, breaks: Offsets) -> tuple[Offsets, Offsets, Offsets]:
        """Of each line in a block, or piece of one: start, end without break, number of rows."""
        starts = np.concatenate(([0], breaks + self._unit)).astype(np.int64)
        ends = np.concatenate((breaks, [len(data)])).astype(np.int64)
        if len(breaks) and starts[-1] >= len(data):
            starts, ends = starts[:-1], ends[:-1]
        return starts, ends, np.maximum(1, -(-(ends - starts) // ROW))

    def _block(self, number: int) -> _Rows:
        known = self._cache.get(number)
        if known is not None:
            return known
        begin = self._offsets[number]
        end = self._offsets[number + 1] if number + 1 < len(self._offsets) else self.offset
        data, breaks = self._cut(self._source.read(begin, end - begin), True)
        starts, ends, counts = self._segments(data, breaks)
        of = np.repeat(np.arange(len(starts)), counts)
        piece = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        row_starts = starts[of] + piece * ROW
        firsts = piece == 0
        # It begins a multiple of ROW behind the line's beginning.
        if self._inside[number]:
            firsts[0] = False
        rows = _Rows(
            row_starts + begin,
            np.minimum(row_starts + ROW, ends[of]) + begin,
            of + self._first_lines[number],
            firsts,
        )
        self._cache[number] = rows
        if len(self._cache) > _KEPT:
            self._cache.popitem(last=False)
        return rows
