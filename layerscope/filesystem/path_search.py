"""Finds the paths of a tree that a pattern matches, a whole tree at once.

All names, or all paths, are one piece of memory, so a filter that a user types is found in a few
passes over that. Most filters need the names alone: what matches a folder's name matches all below.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.changeset import Int64, UInt8
from layerscope.filesystem.globs import literal_of, text_within_names, within_names

Bool = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]

#: Between two looks at whether anybody still wants the answer.
_STEP = 4096
_CHUNK = 1 << 18


def _never() -> None:
    pass


class Joined:
    """Strings that are joined by NUL.

    Attributes:
        blob: The strings.
        starts: Where each begins, and one more as if another one followed.
    """

    def __init__(self, blob: bytes, starts: Int64) -> None:
        self.blob = blob
        self.starts = starts
        self._lower: bytes | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    def tails(self, skip: Int64) -> Joined:
        """The same strings without so many of their first bytes."""
        starts = self.starts[:-1] + skip
        kept = np.zeros(len(self.blob) + 2, np.int8)
        kept[self.starts[:-1]] -= 1
        kept[starts] += 1
        kept[0] += 1
        inside = np.cumsum(kept[:-2], dtype=np.int8) > 0
        blob = np.frombuffer(self.blob, np.uint8)[inside].tobytes()
        lengths = self.starts[1:] - starts
        return Joined(blob, np.concatenate([[0], np.cumsum(lengths)]))

    def with_literal(self, literal: bytes, ignore_case: bool) -> Bool:
        """Which strings have a text in them."""
        blob = self._between(ignore_case)
        literal = literal.lower() if ignore_case else literal
        return self._owners(_places(np.frombuffer(blob, np.uint8), literal) - 1)

    def with_framed(self, text: bytes, ignore_case: bool) -> Bool:
        """Which strings have a text in them, where a NUL stands before each and behind each."""
        if not text:
            return np.ones(len(self), np.bool_)
        text = text.lower() if ignore_case else text
        places = _places(np.frombuffer(self._between(ignore_case), np.uint8), text)
        return self._owners(places if text[0] == 0 else places - 1)

    def with_match(
        self, pattern: re.Pattern[bytes], lower: bool, stop: Callable[[], None] = _never
    ) -> Bool:
        """Which strings a pattern matches that begins with the NUL before a string.

        Args:
            pattern: The pattern; what it matches ends before the next NUL.
            lower: Whether to search for it in lower case.
            stop: Called now and then; may raise.
        """
        found: list[int] = []
        blob = self._between(lower)
        first = 0
        while first < len(self):
            stop()
            last = int(np.searchsorted(self.starts, self.starts[first] + _CHUNK))
            last = min(max(last, first + 1), len(self))
            # Whole strings, each with a NUL before it and behind it.
            start, end = int(self.starts[first]), int(self.starts[last]) + 1
            found += [match.start() for match in pattern.finditer(blob, start, end)]
            first = last
        return self._owners(np.array(found, np.int64))

    def _between(self, lower: bool) -> bytes:
        """The strings between NULs; those in lower case, which most filters ask for, are kept."""
        if not lower:
            return b"\0" + self.blob + b"\0"
        if self._lower is None:
            self._lower = b"\0" + self.blob.lower() + b"\0"
        return self._lower

    def _owners(self, places: Int64) -> Bool:
        result: Bool = np.zeros(len(self), np.bool_)
        result[np.searchsorted(self.starts, places, "right") - 1] = True
        return result


def _places(data: UInt8, literal: bytes) -> Int64:
    """Where a text begins in some bytes."""
    count = len(data) - len(literal) + 1
    if count <= 0:
        return np.zeros(0, np.int64)
    places = np.flatnonzero(data[:count] == literal[0])
    for offset, byte in enumerate(literal[1:], 1):
        places = places[data[places + offset] == byte]
    return places.astype(np.int64, copy=False)


def search(
    paths: Joined,
    names: Callable[[], Joined],
    ends: Int32,
    pattern: re.Pattern[bytes],
    stop: Callable[[], None] = _never,
) -> Bool:
    """Which paths of a tree a pattern matches (searched, not anchored).

    Args:
        paths: The paths of all nodes.
        names: Gives the last component of each.
        ends: One past the last descendant of each node.
        pattern: The pattern.
        stop: Called now and then; may raise.
    """
    literal = literal_of(pattern)
    ignore_case = bool(pattern.flags & re.IGNORECASE)
    if literal and b"\0" not in literal:
        if b"/" in literal:
            return paths.with_literal(literal, ignore_case)
        return _spread(names().with_literal(literal, ignore_case), ends)
    text = text_within_names(pattern)
    if text is not None:
        return _spread(names().with_framed(text, ignore_case), ends)
    by_name = within_names(pattern)
    if by_name is not None:
        return _spread(names().with_match(by_name, ignore_case, stop), ends)
    result: Bool = np.zeros(len(paths), np.bool_)
    matches = pattern.search
    for first in range(0, len(paths), _STEP):
        stop()
        last = min(first + _STEP, len(paths))
        part = paths.blob[int(paths.starts[first]) : int(paths.starts[last]) - 1].split(b"\0")
        result[first:last] = [matches(path) is not None for path in part]
    return result


def _spread(found: Bool, ends: Int32) -> Bool:
    """What was found, and all below it."""
    marks = np.zeros(len(found) + 1, np.int32)
    nodes = np.flatnonzero(found)
    marks[nodes] = 1
    np.subtract.at(marks, ends[nodes], 1)
    spread: Bool = np.cumsum(marks[:-1]) > 0
    return spread
