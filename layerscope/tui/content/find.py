"""Finds text or bytes in a file, and moves between matches."""

from __future__ import annotations

from bisect import bisect_left

from layerscope.content.finding import MOST, hex_needle, text_needle
from layerscope.text import plural, visible
from layerscope.tui.content.navigation import Navigation
from layerscope.tui.content.work import OpenFile


class Finder:
    """The search in a file. Methods that return a string return a message to show, or ""."""

    def __init__(self, file: OpenFile, navigation: Navigation) -> None:
        self.needle = ""  # The search text as typed; empty before the first search.
        self._file = file
        self._navigation = navigation
        # Index of the current match.
        self._at = -1
        # The offset where the search began; None once it has a match.
        self._from: int | None = None

    @property
    def searching(self) -> bool:
        return bool(self.needle) and self._file.searching

    def why_not(self) -> str:
        matches = self._file.matches
        if matches is None:
            return "Nothing has been searched for: / finds text."
        return "" if matches.count or self.searching else "Nothing matches."

    def status(self) -> str:
        """Returns the number of matches, and which one is current."""
        matches = self._file.matches
        if matches is None:
            return ""
        number = f"{matches.count:,}"
        if self.searching:
            size = self._file.content.size
            share = f", {100 * matches.reached // size}% searched" if size else ""
            return f"{plural(matches.count, 'match', 'matches')} so far{share}"
        if not matches.complete:
            return f"{plural(matches.count, 'match', 'matches')}, then stopped"
        if not matches.count:
            return "no match"
        return f"match {self._at + 1:,} of {number}" if self._at >= 0 else number

    def find(self, text: str) -> str:
        """Finds text; in hexadecimal, pairs of digits are bytes unless they are in quotes."""
        file = self._file
        needle = hex_needle(text) if file.hex else None
        if needle is None:
            plain = text.strip('"') if file.hex else text
            encoding = None if file.hex else file.text.encoding
            needle = text_needle(plain, encoding) if plain else None
        if needle is None:
            return f"{visible(text[:40])} cannot occur in this file's encoding."
        self.needle, self._at, self._from = text, -1, self._navigation.here
        file.search(needle)
        return ""

    def arrive(self) -> str:
        """Goes to the first match after the start of the search, once it is found."""
        matches = self._file.matches
        if self._from is None or matches is None:
            return ""
        self._file.text.forget()
        at = bisect_left(matches.offsets, self._from)
        if at < len(matches.offsets):
            self._show(at)
        elif not self.searching:
            self._from = None
            if matches.count:
                self._show(0)
                return "No match below: continued from the top."
            if matches.complete:
                return "Nothing matches."
        return ""

    def go(self, step: int) -> str:
        matches = self._file.matches
        if matches is None or not len(matches.offsets):
            return ""
        known = len(matches.offsets)
        if self._at < 0:
            self._at = bisect_left(matches.offsets, self._navigation.here) - (step > 0)
        at = self._at + step
        said = ""
        if not 0 <= at < known:
            if self.searching:
                return "No further match has been found yet."
            said = f"Continued from the {'top' if step > 0 else 'bottom'}."
            if matches.count > MOST:
                said = f"Only the first {MOST:,} of the matches can be shown."
        self._show(at % known)
        return said

    def _show(self, at: int) -> None:
        matches = self._file.matches
        if matches is not None:
            self._at, self._from = at, None
            self._file.current = matches.offsets[at]
            self._navigation.to_byte(matches.offsets[at], context=True)
