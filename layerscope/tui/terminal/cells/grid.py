"""The grid of a terminal's cells: those wanted and those shown."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from itertools import chain

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.segment import Segment

from layerscope.tui.terminal.cells.path import NARROW, UNKNOWN, Abilities, Path, Row, Run, runs_of
from layerscope.tui.terminal.cells.pens import Pen, Pens

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)))
_MOST_PENS = 4096


class CellOutput:
    """A terminal's cells: those wanted and those shown."""

    def __init__(self, abilities: Abilities, colors: ColorSystem = ColorSystem.TRUECOLOR) -> None:
        self.size = (0, 0)  # Columns and lines.
        self.wanted: list[Row] = []
        self._abilities = abilities
        self._colors = colors  # The terminal's colours; others are converted.
        self.pens = Pens(colors, abilities.codes)  # The styles that the lines refer to by number.
        self._shown: list[Row] = []
        self._painted: set[int] = set()
        self._known = False
        self._cursor = (-1, -1)
        self._pen = 0

    def resize(self, columns: int, lines: int) -> None:
        self.size = (columns, lines)
        self.wanted = [([" "] * columns, [0] * columns) for _ in range(lines)]
        self._painted.clear()
        self.forget()

    def forget(self) -> None:
        """Discards what the terminal is known to show."""
        self._known = False

    def paint(self, x: int, y: int, segments: Iterable[Segment]) -> None:
        """Writes text into the grid; cuts it at the end of the line."""
        columns, lines = self.size
        if not (0 <= y < lines and 0 <= x < columns):
            return
        self._painted.add(y)
        chars, pens = self.wanted[y]
        for text, style, control in segments:
            if control or not text or x >= columns:
                continue
            cells = list(text) if NARROW.issuperset(text) else _cells(text)
            if x + len(cells) > columns:
                cut = columns - x
                halved = not cells[cut]
                del cells[cut:]
                if halved:
                    cells[-1] = " "
            # Overwriting one half of a wide character blanks the other half.
            end = x + len(cells)
            if end > x and not chars[x]:
                chars[x - 1] = " "
            if x < end < columns and not chars[end]:
                chars[end] = " "
            pen = self.pens.of(style)
            blank = self.pens.blanks[pen]
            chars[x:end] = cells
            if blank == pen or " " not in cells:
                pens[x:end] = [pen] * len(cells)
            else:
                pens[x:end] = [blank if cell == " " else pen for cell in cells]
            x = end

    def flush(self, cursor: tuple[int, int] | None = None) -> str:
        """Returns the output that shows the painted cells and places the cursor."""
        if len(self.pens.pens) > _MOST_PENS:
            self._renumber()
        path = Path(self.size, self.pens, self._abilities, self._cursor, self._pen)
        if not self._known:
            self._known = True
            self._clear(path)
            self._painted.update(range(len(self.wanted)))
        dirty = [y for y in sorted(self._painted) if self._shown[y] != self.wanted[y]]
        self._painted.clear()
        if dirty:
            path = self._shortest(path, dirty)
        for y in dirty:
            chars, pens = self.wanted[y]
            self._shown[y] = (chars[:], pens[:])
        if cursor is not None:
            path.move(*cursor)
        self._cursor, self._pen = (path.x, path.y), path.pen
        return "".join(path.out)

    def _renumber(self) -> None:
        old, self.pens = self.pens.pens, Pens(self._colors, self._abilities.codes)
        for _, pens in self.wanted:
            pens[:] = [self.pens.number(old[pen]) for pen in pens]
        self.forget()

    def _clear(self, path: Path) -> None:
        """Clears a terminal in an unknown state."""
        columns = self.size[0]
        path.out.append("\x1b[m")
        path.x, path.y, path.pen = -1, -1, 0
        blank = self.pens.blanks[0]
        if self._abilities.erases_in_color and self.wanted:
            # With the most common background, so that its blanks need not be written.
            counts = Counter(chain.from_iterable(pens for _, pens in self.wanted))
            background = self.pens.pens[counts.most_common(1)[0][0]].background
            blank = self.pens.number(Pen(frozenset(), None, background))
            path.turn(blank)
        path.out.append("\x1b[2J")
        self._shown = [([" "] * columns, [blank] * columns) for _ in self.wanted]

    def _shortest(self, path: Path, dirty: list[int]) -> Path:
        """Returns the shorter way to write lines: as they are, or with a scroll."""
        plain = path.fork()
        plain.write(self._runs(dirty, self._shown))
        block = self._moved_block(dirty) if self._abilities.scrolls and len(dirty) > 2 else None
        if block is None:
            return plain
        top, bottom, _ = block
        shown = self._scrolled(*block)
        scrolling = path.fork()
        scrolling.scroll(*block)
        scrolling.write(self._runs({*dirty, *range(top, bottom + 1)}, shown))
        if len("".join(scrolling.out).encode()) >= len("".join(plain.out).encode()):
            return plain
        # All lines in between have moved, even those that were right.
        dirty[:] = sorted({*dirty, *range(top, bottom + 1)})
        return scrolling

    def _runs(self, ys: Iterable[int], shown: list[Row]) -> list[Run]:
        return [run for y in ys for run in runs_of(self.pens, y, shown[y], self.wanted[y])]

    def _moved_block(self, dirty: list[int]) -> tuple[int, int, int] | None:
        """Returns the first and last line of a block that has moved, and how far up; or None.

        Compares only the columns that differ, which are those of one pane. A scroll moves other
        panes too, so a block counts only if repairing them is probably shorter.
        """
        columns = self.size[0]
        left, right = columns, 0
        for y in dirty:
            marks = list(map(operator.ne, self._shown[y][0], self.wanted[y][0]))
            if True in marks:
                left = min(left, marks.index(True))
                right = max(right, columns - marks[::-1].index(True))
        # The last column may be a scroll bar, which does not move with the rest.
        span = slice(left, right - 1)
        places: dict[tuple[str, ...], list[int]] = {}
        for y in dirty:
            places.setdefault(tuple(self._shown[y][0][span]), []).append(y)
        found = [(places.get(tuple(self.wanted[y][0][span]), []), y) for y in dirty]
        steps = [(old[0] - y, y) for old, y in found if len(old) == 1 and old[0] != y]
        if not steps:
            return None
        rows, votes = Counter(step for step, _ in steps).most_common(1)[0]
        ys = [y for step, y in steps if step == rows]
        top, bottom = min(*ys, *(y + rows for y in ys)), max(*ys, *(y + rows for y in ys))
        if votes < 2:
            return None
        shown = self._scrolled(top, bottom, rows)
        before = sum(_difference(self._shown[y], self.wanted[y]) for y in range(top, bottom + 1))
        after = sum(_difference(shown[y], self.wanted[y]) for y in range(top, bottom + 1))
        return (top, bottom, rows) if after < before else None

    def _scrolled(self, top: int, bottom: int, rows: int) -> list[Row]:
        block = self._shown[top : bottom + 1]
        # Terminals differ in how they fill the new lines.
        columns = self.size[0]
        fresh = [([UNKNOWN] * columns, [0] * columns) for _ in range(min(abs(rows), len(block)))]
        block = [*block[rows:], *fresh] if rows > 0 else [*fresh, *block[:rows]]
        return [*self._shown[:top], *block, *self._shown[bottom + 1 :]]


def _cells(text: str) -> list[str]:
    """Splits a text into cells, as Textual counts them, without characters that move the cursor."""
    cells: list[str] = []
    last = -1
    text = text.translate(_CONTROLS)
    for start, end, width in split_graphemes(text)[0]:
        if width:
            last = len(cells)
            cells += [text[start:end], ""][:width]
        elif cells:
            cells[last] += text[start:end]
    return cells


def _difference(one: Row, other: Row) -> int:
    """Estimates the bytes to write one line over another: its cells, and cursor moves."""
    chars = map(operator.ne, one[0], other[0])
    pens = map(operator.ne, one[1], other[1])
    cells = sum(map(operator.or_, chars, pens))
    return cells + 16 if cells else 0
