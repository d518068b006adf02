"""Finding in the content that a screen shows, and going from match to match."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from layerscope.content.finding import MOST, hex_needle, text_needle
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.tui.screens.content import ContentScreen


class Finder:
    """The search of a screen."""

    def __init__(self, screen: ContentScreen) -> None:
        self._screen = screen
        self._needle = ""
        self._current = -1
        # From which byte on the first match is waited for; None if it has been found.
        self._from: int | None = None

    def forget(self) -> None:
        """There is another file."""
        self._needle, self._current, self._from = "", -1, None

    @property
    def under_way(self) -> bool:
        """Whether it is being searched."""
        job = self._screen.job
        return bool(self._needle) and job is not None and not job.search_ended

    def why_not(self) -> str:
        """Why there is no next match; empty if there is one."""
        matches = self._screen.job.matches if self._screen.job is not None else None
        if not self._needle or matches is None:
            return "Nothing has been searched for: / finds."
        if not matches.count and not self.under_way:
            return "Nothing matches."
        return ""

    def text(self) -> str:
        """How many matches there are, and which one this is."""
        matches = self._screen.job.matches if self._screen.job is not None else None
        if not self._needle or matches is None:
            return ""
        number = f"{matches.count:,}"
        if self.under_way:
            content = self._screen.job.content if self._screen.job is not None else None
            size = content.size if content is not None else 0
            share = f", {100 * matches.reached // size}% searched" if size else ""
            return f"{number} matches so far{share}"
        if not matches.complete:
            return f"{number} matches, then stopped"
        if not matches.count:
            return "no match"
        return f"match {self._current + 1:,} of {number}" if self._current >= 0 else number

    def ask(self) -> None:
        """Asks what to find."""
        hint = "Bytes such as 7f 45 4c, or text" if self._screen.hex else "Text"
        self._screen.ask("Find", self._needle, hint, self.find)

    def find(self, text: str) -> None:
        """Finds; in hexadecimal, pairs of digits are bytes, unless they are in quotes."""
        screen, job = self._screen, self._screen.job
        if job is None or job.text is None:
            return
        needle = hex_needle(text) if screen.hex else None
        if needle is None:
            plain = text.strip('"') if screen.hex else text
            needle = (
                text_needle(plain, None if screen.hex else job.text.encoding) if plain else None
            )
        if needle is None:
            screen.say(f"{visible(text[:40])} cannot be in this file, in its encoding.")
            return
        self._needle, self._current, self._from = text, -1, screen.going.here
        screen.mark(-1)
        job.search(needle)
        job.text.forget()
        screen.tell()
        screen.refresh_bindings()

    def arrive(self) -> None:
        """Goes to the first match from where the search began, as soon as it is found."""
        screen, job = self._screen, self._screen.job
        if self._from is None or job is None or job.matches is None:
            return
        job_text = job.text
        if job_text is not None:
            job_text.forget()
        matches = job.matches
        at = bisect_left(matches.offsets, self._from)
        if at < len(matches.offsets):
            self._show(at)
        elif job.search_ended:
            self._from = None
            if matches.count:
                self._show(0)
                screen.say("No match below; this is the first one from the top.")
            elif matches.complete:
                screen.say("Nothing matches.")

    def go(self, step: int) -> None:
        """Goes to the next or previous match, round the end if need be."""
        job = self._screen.job
        if job is None or job.matches is None or not len(job.matches.offsets):
            return
        known = len(job.matches.offsets)
        if self._current < 0:
            self._current = bisect_left(job.matches.offsets, self._screen.going.here) - (step > 0)
        at = self._current + step
        if not 0 <= at < known:
            if self.under_way:
                self._screen.say("No further match has been found yet.")
                return
            if job.matches.count > MOST:
                self._screen.say(f"Of this many matches only the first {MOST:,} can be gone to.")
            else:
                self._screen.say("Round the end." if step > 0 else "Round the beginning.")
        self._show(at % known)

    def _show(self, at: int) -> None:
        screen = self._screen
        matches = screen.job.matches if screen.job is not None else None
        if matches is None:
            return
        self._current, self._from = at, None
        screen.mark(matches.offsets[at])
        screen.going.to_byte(matches.offsets[at], screen.view.page_size // 3)
        screen.view.update()
        screen.tell()
