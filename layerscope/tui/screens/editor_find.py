"""Finding text in an editor, and going to lines and problems."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerscope.dockerfile import shown_text
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.tui.screens.editor import EditorScreen


class Finder:
    """The search of an editor.

    Attributes:
        needle: What is searched for; empty if nothing is.
    """

    def __init__(self, screen: EditorScreen) -> None:
        self.needle = ""
        # What was searched for in which text, and where it is there.
        self._found: tuple[str, str, array[int]] | None = None
        self._screen = screen

    def ask(self) -> None:
        """Asks what to find; what is selected, or was found last, is there to begin with."""
        selected = self._screen.area.selected_text
        start = visible(selected) if selected and "\n" not in selected else self.needle
        self._screen.ask("Find", start, "Text; :12 goes to line 12", self.find)

    def ask_line(self) -> None:
        """Asks for a line."""
        hint = f"1 to {self._screen.area.document.line_count}"
        self._screen.ask("Go to line", "", hint, self.go_to_line)

    def find(self, text: str) -> None:
        """Finds a text from the cursor on; capitals matter if there are any."""
        if re.fullmatch(r":\s*\d+", text):
            self.go_to_line(text[1:])
            return
        self.needle = text
        self.go(1, here=True)

    def go_to_line(self, text: str) -> None:
        """Goes to a line by its number."""
        area = self._screen.area
        if not text.strip().isdecimal():
            self._screen.say(f"{visible(text)} is not the number of a line.")
            return
        row = min(max(int(text), 1), area.document.line_count) - 1
        area.go_to(area.offset_of((row, 0)))

    def go(self, step: int, *, here: bool = False) -> None:
        """Goes to the next or previous match, round the end if need be.

        Args:
            step: 1 or -1.
            here: Whether a match at the cursor counts.
        """
        screen, area = self._screen, self._screen.area
        text, needle = area.whole, shown_text.held(self.needle)
        if self._found is None or self._found[:2] != (needle, text):
            self._found = needle, text, array("Q", _starts(needle, text))
        matches = self._found[2]
        if not matches:
            screen.say(f"Nothing with {visible(self.needle)}.")
            return
        place = area.offset_of(min(area.selection))
        after = bisect_right(matches, place - here)
        at = after if step > 0 else bisect_left(matches, place) - 1
        turned = not 0 <= at < len(matches)
        at %= len(matches)
        area.go_to(matches[at], matches[at] + len(self.needle))
        end = "Round the end: " if step > 0 else "Round the beginning: "
        screen.say(f"{end if turned else ''}match {at + 1} of {len(matches)}.")


def _starts(needle: str, text: str) -> Iterator[int]:
    """Where a needle begins in a text; if it has no capitals, those of the text do not matter."""
    lower = needle == needle.lower()
    if not needle or not text.isascii():
        flags = re.IGNORECASE if lower else 0
        yield from (match.start() for match in re.finditer(re.escape(needle), text, flags))
        return
    # Twice as fast as a pattern: in 5 MB, 300,000 matches are found within what a key may take.
    text = text.lower() if lower else text
    place = text.find(needle)
    while place >= 0:
        yield place
        place = text.find(needle, place + len(needle))
