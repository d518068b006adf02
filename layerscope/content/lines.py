"""Finds the starts of lines in a text, as far as requested, in little memory.

A line of any length is cut into rows of at most `ROW` bytes, so that a long one does not slow down
showing or searching. Rows are computed again block by block: a block ends with a line, or, within a
line that is longer than a block, after `BLOCK` bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.content.access import RandomAccess

#: Maximum length of a row in bytes, without the line's end.
ROW = 4096

#: Maximum length of a block; a multiple of `ROW`.
BLOCK = 256 << 10

#: Blocks whose rows are kept.
_KEPT = 8

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """A line, or a piece of a long one."""

    start: int  # Offset of its first byte.
    end: int  # Offset after its last byte, without the line's end.
    line: int
    first: bool  # Whether the line begins here.


class _Block(NamedTuple):
    """A block: its offset, its first row, that row's line, and whether it starts inside it."""

    offset: int
    row: int
    line: int
    inside: bool


@dataclass(frozen=True, slots=True)
class _Rows:
    starts: Offsets
    ends: Offsets
    lines: Offsets
    firsts: npt.NDArray[np.bool_]


class LineIndex:
    """The rows of a text. One thread extends it while others read."""

    def __init__(self, source: RandomAccess, encoding: str = "utf-8") -> None:
        self._source = source
        self._dtype = {"utf-16-le": "<u2", "utf-16-be": ">u2"}.get(encoding, "u1")
        self._unit = 2 if encoding.startswith("utf-16") else 1
        self._blocks: list[_Block] = []
        self._inside_line = False
        self._cache: OrderedDict[int, _Rows] = OrderedDict()
        self.rows = 0
        self.lines = 0
        self.offset = 0  # How far the content has been scanned.
        self.complete = False

    def extend(self, enough: Callable[[], bool]) -> None:
        """Scans more of the content.

        `enough` is called before each block; it returns whether to stop, or raises.
        """
        while not self.complete and not enough():
            begin = self.offset
            # One more than a block, so that a line and its end stay together.
            wanted = BLOCK + self._unit
            data = self._source.read(begin, wanted)
            last = begin + len(data) >= self._source.size or len(data) < wanted
            data, breaks = self._cut(data, last)
            if data:
                inside = self._inside_line
                starts, _, counts = self._segments(data, breaks)
                self._blocks.append(_Block(begin, self.rows, self.lines - inside, inside))
                self._inside_line = not len(breaks)
                self.lines += len(starts) - inside
                self.offset = begin + len(data)
                # Last, because other threads ask for rows below this number.
                self.rows += int(counts.sum())
            self.complete = (last and self.offset >= self._source.size) or not data

    def row(self, number: int) -> Row:
        """A known row by its number; raises IndexError if it is not known."""
        if not 0 <= number < self.rows:
            raise IndexError(number)
        block = bisect_right(self._blocks, number, key=lambda block: block.row) - 1
        rows = self._block(block)
        at = number - self._blocks[block].row
        return Row(
            int(rows.starts[at]), int(rows.ends[at]), int(rows.lines[at]), bool(rows.firsts[at])
        )

    def row_at(self, offset: int) -> int:
        """The number of the row that contains a byte, among the known ones."""
        if not self.rows:
            return 0
        block = max(0, bisect_right(self._blocks, offset, key=lambda block: block.offset) - 1)
        inside = int(np.searchsorted(self._block(block).starts, offset, "right")) - 1
        return self._blocks[block].row + max(0, inside)

    def row_of_line(self, line: int) -> int:
        """The number of the first row of a line; the last row if it is not known."""
        if line >= self.lines or not self.rows:
            return max(0, self.rows - 1)
        block = max(0, bisect_right(self._blocks, line, key=lambda block: block.line) - 1)
        while block and self._blocks[block].inside and self._blocks[block].line == line:
            block -= 1
        rows = self._block(block)
        found = np.flatnonzero(rows.firsts & (rows.lines == line))
        return self._blocks[block].row + int(found[0])

    def _cut(self, data: bytes, last: bool) -> tuple[bytes, Offsets]:
        """The part of some bytes that forms a block, and its line breaks."""
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
        """For each line, or piece of one, in a block: start, end without break, number of rows."""
        starts = np.concatenate(([0], breaks + self._unit)).astype(np.int64)
        ends = np.concatenate((breaks, [len(data)])).astype(np.int64)
        if len(breaks) and starts[-1] >= len(data):
            starts, ends = starts[:-1], ends[:-1]
        return starts, ends, np.maximum(1, -(-(ends - starts) // ROW))

    def _block(self, number: int) -> _Rows:
        known = self._cache.get(number)
        if known is not None:
            return known
        begin, _, line, inside = self._blocks[number]
        end = self._blocks[number + 1].offset if number + 1 < len(self._blocks) else self.offset
        data, breaks = self._cut(self._source.read(begin, end - begin), True)
        starts, ends, counts = self._segments(data, breaks)
        of = np.repeat(np.arange(len(starts)), counts)
        piece = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        row_starts = starts[of] + piece * ROW
        firsts = piece == 0
        # The block begins a multiple of ROW after the start of the line.
        if inside:
            firsts[0] = False
        rows = _Rows(
            row_starts + begin, np.minimum(row_starts + ROW, ends[of]) + begin, of + line, firsts
        )
        self._cache[number] = rows
        if len(self._cache) > _KEPT:
            self._cache.popitem(last=False)
        return rows
