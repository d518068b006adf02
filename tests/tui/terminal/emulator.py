"""A terminal emulator, stricter than pyte: where terminals differ, it takes the worst case."""

from __future__ import annotations

from typing import Any

import pyte
from pyte.screens import Char
from rich.cells import get_character_cell_size

_JUNK = Char("#", fg="red", bg="blue")


class Emulator(pyte.Screen):
    """A screen that understands Textual's output and ours.

    Cells that are erased get the background of the pen or the terminal's own one, as the terminal
    is; lines that scroll in are full of rubbish; the half of a wide character that is left when the
    other one is overwritten becomes a blank. Textual never scrolls by a line feed; a terminal that
    `scrolls` allows it, for other programs, and for what was written before it got smaller.
    """

    def __init__(
        self,
        columns: int,
        lines: int,
        *,
        erases_in_color: bool = True,
        scrolls: bool = False,
        widths: dict[str, int] | None = None,
    ) -> None:
        self._erases_in_color = erases_in_color
        self._widths = widths or {}
        self.erased_cells = 0
        self._scrolls = scrolls
        super().__init__(columns, lines)
        self.stream = pyte.Stream(self)
        self.feed("\x1b[?7l")

    def feed(self, data: str) -> None:
        self.stream.feed(data)

    def scramble(self) -> None:
        """Shows what somebody else has written, with a pen of theirs."""
        for y in range(self.lines):
            for x in range(self.columns):
                self.buffer[y][x] = _JUNK
        self.feed("\x1b[7;4;31;42m\x1b[3;5H")

    def linefeed(self) -> None:
        """Moves down, and to the first column, as some terminals are set up to do."""
        assert self._scrolls or self.cursor.y < self.lines - 1
        super().linefeed()
        self.carriage_return()

    def draw(self, data: str) -> None:
        for character in data:
            width = self._widths.get(character, get_character_cell_size(character))
            if not width:
                self._join(character)
                continue
            # A character that does not fit is drawn so far to the left that it does.
            x = min(self.cursor.x, self.columns - width)
            line = self.buffer[self.cursor.y]
            if line[x].data == "":
                self._blank_head(x)
            if x + width < self.columns and line[x + width].data == "":
                line[x + width] = line[x + width]._replace(data=" ")
            line[x] = self.cursor.attrs._replace(data=character)
            for stub in range(x + 1, x + width):
                line[stub] = self.cursor.attrs._replace(data="")
            self.cursor.x = x + width

    def _join(self, character: str) -> None:
        line = self.buffer[self.cursor.y]
        x = self.cursor.x - 1
        while x > 0 and line[x].data == "":
            x -= 1
        if x >= 0:
            line[x] = line[x]._replace(data=line[x].data + character)

    def _blank_head(self, x: int) -> None:
        line = self.buffer[self.cursor.y]
        head = x
        while head > 0 and line[head].data == "":
            head -= 1
        for cell in range(head, x):
            line[cell] = line[cell]._replace(data=" ")

    def _erase(self, y: int, cells: range) -> None:
        background = self.cursor.attrs.bg if self._erases_in_color else "default"
        line = self.buffer[y]
        for x in cells:
            line[x] = Char(" ", bg=background)
        if cells and cells.stop < self.columns and line[cells.stop].data == "":
            line[cells.stop] = line[cells.stop]._replace(data=" ")

    def erase_characters(self, count: int | None = None) -> None:
        self.erased_cells += 1
        start = min(self.cursor.x, self.columns - 1)
        if self.buffer[self.cursor.y][start].data == "":
            self._blank_head(start)
        self._erase(self.cursor.y, range(start, min(start + (count or 1), self.columns)))

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        assert how == 0, how
        start = min(self.cursor.x, self.columns - 1)
        if self.buffer[self.cursor.y][start].data == "":
            self._blank_head(start)
        self._erase(self.cursor.y, range(start, self.columns))

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        assert how == 2, how
        for y in range(self.lines):
            self._erase(y, range(self.columns))

    def set_margins(self, top: int | None = None, bottom: int | None = None) -> None:
        super().set_margins(top, bottom)
        self.cursor_position()

    def delete_lines(self, count: int | None = None) -> None:
        self._scroll(count or 1)

    def insert_lines(self, count: int | None = None) -> None:
        self._scroll(-(count or 1))

    def _scroll(self, rows: int) -> None:
        top, bottom = self.cursor.y, self.margins.bottom if self.margins else self.lines - 1
        old = [dict(self.buffer[y]) for y in range(top, bottom + 1)]
        for y in range(top, bottom + 1):
            line = self.buffer[y]
            line.clear()
            source = y + rows - top
            if 0 <= source < len(old):
                line.update(old[source])
            else:
                line.update(dict.fromkeys(range(self.columns), _JUNK))
        self.cursor.x = 0

    def select_graphic_rendition(self, *attrs: int, **kwargs: Any) -> None:
        # Pyte knows no dim; nothing here blinks.
        swapped: list[int] = []
        place = 0
        while place < len(attrs):
            code = attrs[place]
            if code in (38, 48):
                count = 5 if attrs[place + 1] == 2 else 3
                swapped += attrs[place : place + count]
                place += count
                continue
            swapped += [5] if code == 2 else [22, 25] if code == 22 else [code]
            place += 1
        super().select_graphic_rendition(*swapped, **kwargs)

    def look(self) -> list[list[tuple[Any, ...]]]:
        """What can be seen of each cell: on a blank, neither its colour nor how bold it is."""
        seen = []
        for y in range(self.lines):
            row: list[tuple[Any, ...]] = []
            for x in range(self.columns):
                char = self.buffer[y][x]
                lines = (char.underscore, char.strikethrough, char.reverse)
                ink = (char.fg, char.bold, char.italics, char.blink)
                if char.data == " " and not any(lines):
                    ink = ("", False, False, False)
                row.append((char.data, char.bg, *lines, *ink))
            seen.append(row)
        return seen
