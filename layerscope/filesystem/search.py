"""Finds entries by path, in a whole tree or layer at once, or by content.

All names, or all paths, are one bytes object, and a filter takes a few passes over it. Most filters
need only the names: if a folder's name matches, so does everything below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from layerscope.filesystem.changeset import Bool, Changeset, EntryType, Int32, Int64
from layerscope.patterns import PathPattern

#: Bytes searched between two calls of `stop`.
_CHUNK = 1 << 18
#: RE2's limit between two calls, in bytes times the size of the program: about a second.
_STEPS = 1 << 28


def _never() -> None:
    pass


class Joined:
    """Strings joined by NUL."""

    def __init__(self, blob: bytes, starts: Int64 | None = None) -> None:
        self.blob = blob
        #: Where each string begins, and where another one would.
        self.starts = np.append(_starts(blob), len(blob) + 1) if starts is None else starts
        self._lower: bytes | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    def tails(self, skip: Int64) -> Joined:
        """The strings without their first `skip` bytes."""
        starts = self.starts[:-1] + skip
        data = np.frombuffer(self.blob, np.uint8)
        pieces = []
        for first, last in self._chunks(_CHUNK):
            base = int(self.starts[first])
            piece = data[base : int(self.starts[last])]
            # The last string has no NUL after it.
            kept = np.zeros(len(piece) + 1, np.int8)
            kept[0] = 1
            kept[self.starts[first:last] - base] -= 1
            kept[starts[first:last] - base] += 1
            pieces.append(piece[np.cumsum(kept[: len(piece)], dtype=np.int8) > 0].tobytes())
        lengths = self.starts[1:] - starts
        return Joined(b"".join(pieces), np.concatenate([[0], np.cumsum(lengths)]))

    def matching(self, pattern: PathPattern, stop: Callable[[], None] = _never) -> Bool:
        """Which strings match a pattern. `stop` is called repeatedly and may raise."""
        if pattern.text == b"":
            return np.ones(len(self), np.bool_)
        marks = np.zeros(len(self) + 1, np.int32)
        if pattern.text is not None:
            framed = self._framed(pattern.ignore_case)
            for first, last in self._chunks(_CHUNK << 4):
                stop()
                starts = self.starts[first : last + 1] - self.starts[first]
                piece = framed[int(self.starts[first]) : int(self.starts[last]) + 1]
                if pattern.names:
                    piece = piece.replace(b"/", b"\0")
                places = _places(piece, pattern.text, starts)
                # A text that begins with the NUL before a string is found one byte earlier.
                places -= pattern.text[0] != 0
                marks[first + np.searchsorted(starts, places, "right") - 1] = 1
            return marks[:-1] > 0
        for first, last in self._chunks(max(1, min(_CHUNK, _STEPS // pattern.program_size))):
            stop()
            chunk = self.blob[int(self.starts[first]) : int(self.starts[last]) - 1]
            prepared = pattern.prepared(chunk)
            runs = np.array(pattern.runs(prepared), np.int64).reshape(-1, 2) - (0, 1)
            runs = first + np.searchsorted(_starts(prepared), runs, "right")
            # Runs that meet within a string overlap there.
            np.add.at(marks, runs[:, 0] - 1, 1)
            np.add.at(marks, runs[:, 1], -1)
        return np.cumsum(marks[:-1]) > 0

    def _chunks(self, size: int) -> Iterator[tuple[int, int]]:
        """Ranges of strings, each of about this many bytes but at least one string."""
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.starts, self.starts[first] + size))
            last = min(max(last, first + 1), len(self))
            yield first, last
            first = last

    def _framed(self, lower: bool) -> bytes:
        """The strings between NULs; the lower-case form, which most filters need, is cached."""
        if not lower:
            return b"\0" + self.blob + b"\0"
        if self._lower is None:
            self._lower = b"\0" + self.blob.lower() + b"\0"
        return self._lower


def _starts(blob: bytes) -> Int64:
    return np.append(0, np.flatnonzero(np.frombuffer(blob, np.uint8) == 0) + 1)


def _places(text: bytes, literal: bytes, starts: Int64) -> Int64:
    """The positions of a literal: all of them, or the first in each string that contains it."""
    data = np.frombuffer(text, np.uint8)
    count = max(0, len(data) - len(literal) + 1)
    places = np.flatnonzero(data[:count] == literal[0])
    compared = len(places)
    for offset, byte in enumerate(literal[1:], 1):
        if compared > len(data):
            # Much of the text resembles the literal, byte after byte.
            return np.fromiter(_first_places(text, literal, starts), np.int64)
        places = places[data[places + offset] == byte]
        compared += len(places)
    return places.astype(np.int64, copy=False)


def _first_places(text: bytes, literal: bytes, starts: Int64) -> Iterator[int]:
    place = text.find(literal)
    while place >= 0:
        yield place
        following = np.searchsorted(starts, place - (literal[0] != 0), "right")
        place = text.find(literal, int(starts[following]))


def search_tree(
    paths: Joined,
    names: Callable[[], Joined],
    ends: Int32,
    pattern: PathPattern,
    stop: Callable[[], None] = _never,
) -> Bool:
    """Which paths of a tree match a pattern.

    `names` returns the last component of each path, `ends` is one past the last descendant of each
    node, and `stop` is called repeatedly and may raise.
    """
    if not pattern.names:
        return paths.matching(pattern, stop)
    nodes = np.flatnonzero(names().matching(pattern, stop))
    marks = np.zeros(len(paths) + 1, np.int32)
    marks[nodes] = 1
    np.subtract.at(marks, ends[nodes], 1)
    spread: Bool = np.cumsum(marks[:-1]) > 0
    return spread


def find_paths(changeset: Changeset, pattern: PathPattern) -> list[int]:
    """Rows whose path matches a pattern, without whiteouts."""
    if not len(changeset):
        return []
    matching = Joined(changeset.path_blob).matching(pattern)
    rows: list[int] = np.flatnonzero(matching & (changeset.kinds < EntryType.WHITEOUT)).tolist()
    return rows


def find_digest(changeset: Changeset, digest: bytes) -> list[int]:
    """Rows of regular files with a SHA-256; only finds content that has been read."""
    if changeset.digests is None:
        return []
    wanted = np.frombuffer(digest, np.uint8)
    rows: list[int] = np.flatnonzero((changeset.digests == wanted).all(axis=1)).tolist()
    return rows
