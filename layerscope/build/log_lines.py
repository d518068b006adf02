"""The lines of a build's log, read from its journal as they are asked for, and what is in them."""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

from layerscope.text import COLORS

#: Bytes that are read at once.
_PIECE = 1 << 16
#: Bytes of a journal that are looked through in one go.
_BATCH = 1 << 20
#: A line of the journal is no longer than the longest line of a log, escaped, with its names.
_LONGEST_EVENT = 1 << 20


class LogLines:
    """Reads a journal that grows; may be used by several threads."""

    def __init__(self, journal: Path) -> None:
        """Opens nothing yet.

        Args:
            journal: The journal of the job.
        """
        self._journal = journal
        self._fd: int | None = None

    def __del__(self) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def lines(self, offsets: array[int], start: int, stop: int) -> Iterator[str]:
        """Lines, as they were printed.

        Args:
            offsets: Byte offsets of their events in the journal, in order.
            start: The first line.
            stop: One past the last.
        """
        piece, begin = b"", 0
        for offset in offsets[start:stop]:
            place = offset - begin
            end = piece.find(b"\n", place) if 0 <= place < len(piece) else -1
            if end < 0:
                piece, begin, place = self._read(offset, _PIECE), offset, 0
                if b"\n" not in piece:
                    piece = self._read(offset, _LONGEST_EVENT)
                end = piece.find(b"\n")
                end = len(piece) if end < 0 else end
            try:
                yield str(json.loads(piece[place:end]).get("text", ""))
            except (ValueError, AttributeError):
                yield ""

    def find(
        self,
        offsets: array[int],
        needle: str,
        start: int,
        step: int = 1,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """The next line with a text in it, capitals and colours apart, round the end if need be.

        Args:
            offsets: As for `lines`; what is appended meanwhile is not looked at.
            needle: The text.
            start: The line to begin at.
            step: 1, or -1 for the line before.
            stopped: Asked now and then; ends the search when it says so.
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
        """Whether a look at each of the lines is worth while."""
        begin, end = offsets[first], offsets[last - 1] + _LONGEST_EVENT
        if last < len(offsets):
            end = min(end, offsets[last])
        data = self._read(begin, end - begin)
        # A colour in the middle of a word is not seen in bytes.
        return b"\\u001b" in data or needle in data.lower()

    def _read(self, offset: int, size: int) -> bytes:
        try:
            if self._fd is None:
                self._fd = os.open(self._journal, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._fd, size, offset)
        except OSError:
            return b""


def _spans(offsets: array[int], total: int, start: int, step: int) -> Iterator[tuple[int, int]]:
    """Pieces of the lines, from one of them on and round the end, in the order of a search."""
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
