"""Reads and searches the lines of a build's log in its journal."""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

from layerscope.bounded import open_regular
from layerscope.records import Count, Record, parse
from layerscope.text import COLORS

_CHUNK = 1 << 16  # Bytes to read at once.
_BATCH = 1 << 20  # Bytes of a journal to search at once.
#: The longest line of the journal: the longest line of a log, escaped, with its field names.
_LONGEST_EVENT = 1 << 20


class _Line(Record, frozen=True):
    event: str = ""
    text: str = ""
    line: Count | None = None

    @property
    def shown(self) -> str:
        if self.event != "warning":
            return self.text
        return f"Warning: {'' if self.line is None else f'line {self.line}: '}{self.text}"


class LogLines:
    """Reads a journal that grows; safe to use from several threads."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._fd: int | None = None

    def __del__(self) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def lines(self, offsets: array[int], start: int, stop: int) -> Iterator[str]:
        """Yields lines `start` to `stop`; `offsets` are those of their events in the journal."""
        piece, begin = b"", 0
        for offset in offsets[start:stop]:
            place = offset - begin
            end = piece.find(b"\n", place) if 0 <= place < len(piece) else -1
            if end < 0:
                piece, begin, place = self._read(offset, _CHUNK), offset, 0
                if b"\n" not in piece:
                    piece = self._read(offset, _LONGEST_EVENT)
                end = piece.find(b"\n")
                end = len(piece) if end < 0 else end
            try:
                text = parse(piece[place:end], _Line).shown
            except ValueError:
                text = ""
            yield text

    def find(
        self,
        offsets: array[int],
        needle: str,
        start: int,
        step: int = 1,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """Finds the next line that contains a text; ignores case and colours, and wraps around.

        `offsets` are as for `lines`; does not search lines appended meanwhile. A `step` of -1
        searches backwards. The search ends when `stopped` returns true.
        """
        needle = needle.lower()
        plain = needle.encode() if needle.isascii() and json.dumps(needle)[1:-1] == needle else None
        for first, last in _spans(offsets, len(offsets), start, step):
            if stopped():
                return None
            if plain is not None and not self._may_hold(offsets, first, last, plain):
                continue
            found = None
            for row, text in enumerate(self.lines(offsets, first, last), start=first):
                if needle in COLORS.sub("", text).lower():
                    found = row
                    if step > 0:
                        break
            if found is not None:
                return found
        return None

    def _may_hold(self, offsets: array[int], first: int, last: int, needle: bytes) -> bool:
        """Whether some of the lines may contain the text, judged by their bytes."""
        begin, end = offsets[first], offsets[last - 1] + _LONGEST_EVENT
        if last < len(offsets):
            end = min(end, offsets[last])
        data = self._read(begin, end - begin)
        # A colour code may be in the middle of a word.
        return b"\\u001b" in data or needle in data.lower()

    def _read(self, offset: int, size: int) -> bytes:
        try:
            if self._fd is None:
                self._fd = open_regular(self._journal)
            return os.pread(self._fd, size, offset)
        except OSError:
            return b""


def _spans(offsets: array[int], total: int, start: int, step: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of lines, in the order of a search that starts at `start` and wraps around."""
    ranges = [(start, total), (0, start)] if step > 0 else [(0, start + 1), (start + 1, total)]
    for low, high in ranges:
        while low < high:
            if step > 0:
                end = max(low + 1, bisect_right(offsets, offsets[low] + _BATCH, low, high))
                yield low, end
                low = end
            else:
                begin = bisect_left(offsets, offsets[high - 1] - _BATCH, low, high - 1)
                yield begin, high
                high = begin
