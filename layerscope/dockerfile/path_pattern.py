"""Patterns of paths, matched without going back: no pattern makes a path take for ever.

A regular expression is faster for the patterns that people write. One with many stars tries all
the ways in which they can share a path, which are more than anybody has time for; there all ways
are followed at once, as bits of a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

#: What fits any number of folders, each with its slash.
FOLDERS = "(?:.*/)?"
#: So many pieces of any length may share a path in all ways: that takes no time to notice.
_MOST = 3


class Piece(NamedTuple):
    """A part of a pattern, as a regular expression.

    Attributes:
        text: What fits one character; or `FOLDERS`.
        loops: Whether any number of such characters fits.
    """

    text: str
    loops: bool = False

    @property
    def regex(self) -> str:
        """The regular expression."""
        return self.text + "*" * self.loops


def matcher(pieces: Sequence[Piece]) -> Callable[[str], object]:
    """What tells whether a path as a whole fits some pieces, one behind the other.

    Raises:
        re.error: They are no regular expression.
    """
    whole = re.compile("".join(piece.regex for piece in pieces) + r"\Z", re.DOTALL)
    if sum(piece.loops or piece.text == FOLDERS for piece in pieces) <= _MOST:
        return whole.match
    return Steps(pieces).match


class Steps:
    """Follows all ways at once: bit n of a number says that the first n pieces fit what was read.

    A piece for folders has a second such bit, for what is read within a name.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._regexes = [
            re.compile(piece.text if piece.text != FOLDERS else "(?!)", re.DOTALL)
            for piece in pieces
        ]
        self._end = 1 << len(pieces)
        self._loops = _bits(piece.loops for piece in pieces)
        self._folders = _bits(piece.text == FOLDERS for piece in pieces)
        # What fits nothing, too, is stepped over.
        self._empty = self._loops | self._folders
        self._known: dict[str, int] = {}

    def match(self, path: str) -> bool:
        """Tells whether a path fits."""
        ways, within = self._stepped(1), 0
        for char in path:
            fits = self._fits(char)
            folders = (ways | within) & self._folders
            slash = folders << 1 if char == "/" else 0
            # A loop stays where it is; what else fits goes on.
            ways = self._stepped(
                (ways & fits & self._loops) | ((ways & fits & ~self._loops) << 1) | slash
            )
            within = folders
            if not ways and not within:
                return False
        return bool(ways & self._end)

    def _fits(self, char: str) -> int:
        """The pieces that a character fits."""
        known = self._known.get(char)
        if known is None:
            known = _bits(regex.match(char) is not None for regex in self._regexes)
            self._known[char] = known
        return known

    def _stepped(self, ways: int) -> int:
        """Those ways, and those that step over pieces which need not fit anything.

        Adding carries a bit to the end of a run of such pieces, and what differs then is between.
        """
        empty = self._empty
        return ways | (((ways & empty) + empty) ^ empty)


def _bits(values: Iterable[bool]) -> int:
    return sum(1 << number for number, value in enumerate(values) if value)
