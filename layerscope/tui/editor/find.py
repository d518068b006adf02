"""Finding text in an editor, and going to lines."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from layerscope.dockerfile.editing import shown_text
from layerscope.text import visible
from layerscope.tui.editor.dialogs import Dialogs
from layerscope.tui.editor.dockerfile_area import DockerfileArea


class Finder:
    def __init__(self, area: DockerfileArea, dialogs: Dialogs) -> None:
        self.needle = ""
        # The last needle, the text searched, and the offsets of matches.
        self._found: tuple[str, str, array[int]] | None = None
        self._area = area
        self._dialogs = dialogs

    def ask(self) -> None:
        """Asks what to find, beginning with the selection or the last needle."""
        selected = self._area.selected_text
        start = visible(selected) if selected and "\n" not in selected else self.needle
        self._dialogs.prompt("Find", start, "Text; :12 goes to line 12", self.find)

    def ask_line(self) -> None:
        hint = f"1 to {self._area.document.line_count}"
        self._dialogs.prompt("Go to line", "", hint, self.go_to_line)

    def find(self, text: str) -> None:
        """Finds a text after the cursor; case-sensitive if it has capitals."""
        if re.fullmatch(r":\s*\d+", text):
            self.go_to_line(text[1:])
            return
        self.needle = text
        self.go(1, here=True)

    def go_to_line(self, text: str) -> None:
        if text.strip().isdecimal():
            row = min(max(int(text), 1), self._area.document.line_count) - 1
            self._area.go_to(self._area.offset_of((row, 0)))
        else:
            self._dialogs.say(f"{visible(text)} is not a line number.")

    def go(self, step: int, *, here: bool = False) -> None:
        """Goes to the next or previous match; with `here`, one at the cursor counts."""
        area = self._area
        text, needle = area.whole, shown_text.held(self.needle)
        if self._found is None or self._found[:2] != (needle, text):
            self._found = needle, text, array("Q", _starts(needle, text))
        matches = self._found[2]
        if not matches:
            self._dialogs.say(f"No match for {visible(self.needle)}.")
            return
        place = area.offset_of(min(area.selection))
        after = bisect_right(matches, place - here)
        at = after if step > 0 else bisect_left(matches, place) - 1
        wrapped = "" if 0 <= at < len(matches) else ", from the " + ("top" if step > 0 else "end")
        at %= len(matches)
        area.go_to(matches[at], matches[at] + len(self.needle))
        self._dialogs.say(f"Match {at + 1} of {len(matches)}{wrapped}.")


def _starts(needle: str, text: str) -> Iterator[int]:
    """Yields the offsets of a needle in a text; ignores case if it has no capitals."""
    lower = needle == needle.lower()
    if not needle or not text.isascii():
        flags = re.IGNORECASE if lower else 0
        yield from (match.start() for match in re.finditer(re.escape(needle), text, flags))
        return
    # Twice as fast as a regular expression, which matters for 300,000 matches in 5 MB.
    text = text.lower() if lower else text
    place = text.find(needle)
    while place >= 0:
        yield place
        place = text.find(needle, place + len(needle))
