"""The shortest way from some cells to others: moves, pens, text, blanks that are erased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from layerscope.tui.cells.pens import Pen, Pens

Row: TypeAlias = tuple[list[str], list[int]]
"""A line: each cell's text, empty for the second half of a wide character, and its pen's number."""

UNKNOWN = "\0"
"""The text of cells of which nobody knows what they show."""

#: Characters that every terminal shows in one cell, and those that every one shows in two. About
#: the others some are of another mind.
NARROW = frozenset(
    chr(code)
    for start, end in (
        *((0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x17F), (0x391, 0x3A1), (0x3A3, 0x3C9)),
        *(
            (0x401, 0x44F),
            (0x2010, 0x2027),
            (0x2190, 0x2193),
            (0x2500, 0x25CF),
            (0x2713, 0x2718),
            (0x2800, 0x28FF),
        ),
    )
    for code in range(start, end + 1)
)
_WIDE = ((0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xFF01, 0xFF60))

#: So many cells are written again at most, though they are right, to save a move.
_GAP = 12


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a kind of terminal understands besides the moves of a VT100.

    Attributes:
        codes: Codes that take one attribute back, and CHA and VPA.
        erases_in_color: ECH; and all that is erased gets the background of the pen.
        scrolls: DECSTBM, IL and DL.
    """

    codes: bool = True
    erases_in_color: bool = True
    scrolls: bool = True

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Abilities:
        """What to trust a terminal with.

        REP is never used: mosh and others call themselves xterm and do not know it.

        Args:
            environment: Has TERM; and STY within GNU screen, whatever TERM says there.
        """
        term = environment.get("TERM", "")
        if term.startswith(("vt1", "vt2", "ansi", "cons", "sun")):
            return cls(codes=False, erases_in_color=False, scrolls=term.startswith("vt2"))
        colored = term.startswith(
            (
                *("xterm", "linux", "alacritty", "contour", "foot", "ghostty", "gnome", "iterm"),
                *("kitty", "konsole", "mintty", "ms-terminal", "putty", "st-", "vte", "wezterm"),
            )
        )
        return cls(erases_in_color=colored and "STY" not in environment)


class Path:
    """A way to write something: what is written, and where it leaves the cursor and the pen.

    Attributes:
        out: What is written.
        x: The cursor's column; -1 if that is not known, as behind the last one of a line, or
            behind a character that terminals do not agree on.
        y: Its line; -1 if that is not known.
        pen: Number of the pen.
    """

    def __init__(
        self,
        size: tuple[int, int],
        pens: Pens,
        abilities: Abilities,
        cursor: tuple[int, int],
        pen: int,
    ) -> None:
        self.out: list[str] = []
        self.x, self.y = cursor
        self.pen = pen
        self._columns = size[0]
        self._size = size
        self._pens = pens
        self._abilities = abilities

    def fork(self) -> Path:
        """The same, to go on in another way."""
        other = Path(self._size, self._pens, self._abilities, (self.x, self.y), self.pen)
        other.out = self.out[:]
        return other

    def turn(self, pen: int) -> None:
        """Takes another pen."""
        if pen != self.pen:
            codes, self.pen = self._pens.turn(self.pen, pen)
            self.out.append(codes)

    def move(self, x: int, y: int) -> None:
        """Moves the cursor."""
        if (x, y) != (self.x, self.y):
            self.out.append(self._way(x, y))
            self.x, self.y = x, y

    def scroll(self, top: int, bottom: int, rows: int) -> None:
        """Moves lines up by so many rows, or down if that is negative."""
        go = f"\x1b[{top + 1};{bottom + 1}r\x1b[{top + 1}H"
        count = "" if abs(rows) == 1 else abs(rows)
        self.out.append(f"{go}\x1b[{count}{'M' if rows > 0 else 'L'}\x1b[r")
        self.x = self.y = -1

    def line(self, y: int, shown: Row, wanted: Row) -> None:
        """Writes the cells of a line that differ."""
        chars, pens = wanted
        old_chars, old_pens = shown
        todo = [
            x
            for x, (old, new, pen, ink) in enumerate(
                zip(old_chars, chars, old_pens, pens, strict=True)
            )
            if old != new or pen != ink
        ]
        if not (NARROW.issuperset(chars) and NARROW.issuperset(old_chars)):
            todo = _whole(todo, old_chars, chars)
        place, count = 0, len(todo)
        while place < count:
            x = todo[place]
            if not chars[x]:
                place += 1
                continue
            self._approach(x, y, wanted)
            self.turn(pens[x])
            end = x
            if chars[x] == " ":
                while end < self._columns and chars[end] == " " and pens[end] == pens[x]:
                    end += 1
                while place < count and todo[place] < end:
                    last = todo[place]
                    place += 1
                blank = self._pens.pens[pens[x]]
                self._blank(blank, last + 1 - x, end == self._columns, place < count)
                continue
            while place < count and todo[place] == end and pens[end] == pens[x]:
                if chars[end] == " " or (end > x and not _sure(chars[end])):
                    break
                cell = chars[end]
                end += 2 if end + 1 < self._columns and not chars[end + 1] else 1
                place += 1
                if place < count and todo[place] < end:
                    place += 1
                if not _sure(cell):
                    break
            text = "".join(chars[x:end])
            if not _sure(cell):
                # A terminal that gives it fewer cells would leave what was in the others.
                text = f"{' ' * (end - x)}\x1b[{end - x}D{text}"
            self.out.append(text)
            self.x = end if end < self._columns and _sure(cell) else -1

    def _blank(self, pen: Pen, count: int, rest: bool, more: bool) -> None:
        """Writes blanks, whatever is behind them being blank to the end or not."""
        # Nothing but a background is ever erased in.
        plain = pen.foreground is None
        colored = self._abilities.erases_in_color
        erased = f"\x1b[{count}X"
        onward = f"\x1b[{count}C" if more else ""
        if plain and rest and count > 3 and (colored or not pen.background):
            self.out.append("\x1b[K")
        elif plain and colored and count > len(erased) + len(onward):
            self.out.append(erased)
        else:
            self.out.append(" " * count)
            self.x = self.x + count if self.x + count < self._columns else -1

    def _approach(self, x: int, y: int, wanted: Row) -> None:
        """Goes to a cell, and writes those before it again if that is shorter."""
        if self.y == y and 0 <= self.x < x <= self.x + _GAP:
            chars, pens = wanted[0][self.x : x], wanted[1][self.x : x]
            if NARROW.issuperset(chars):
                other = self.fork()
                other.out = []
                for cell, pen in zip(chars, pens, strict=True):
                    other.turn(pen)
                    other.out.append(cell)
                text = "".join(other.out)
                then = len(self._pens.turn(other.pen, wanted[1][x])[0])
                alone = len(self._way(x, y)) + len(self._pens.turn(self.pen, wanted[1][x])[0])
                if len(text.encode()) + then <= alone:
                    self.out.append(text)
                    self.x, self.pen = x, other.pen
                    return
        self.move(x, y)

    def _way(self, x: int, y: int) -> str:
        """The shortest move."""
        ways = [f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H"]
        if self.y == y:
            ways.append(self._across(x))
        elif self.y >= 0:
            down = y - self.y
            way = f"\x1b[{'' if abs(down) == 1 else abs(down)}{'B' if down > 0 else 'A'}"
            if self._abilities.codes:
                way = min(way, f"\x1b[{y + 1}d", key=len)
            ways.append(way + ("" if self.x == x else self._across(x)))
        return min(ways, key=len)

    def _across(self, x: int) -> str:
        """The shortest move within a line."""
        far = f"\x1b[{'' if x == 1 else x}C" if x else ""
        ways = ["\r" + far]
        if self._abilities.codes:
            ways.append(f"\x1b[{x + 1}G")
        if 0 <= self.x < x:
            ways.append(f"\x1b[{'' if x - self.x == 1 else x - self.x}C")
        elif x < self.x:
            back = self.x - x
            ways += ["\b" * back, f"\x1b[{back}D"]
        return min(ways, key=len)


@lru_cache(maxsize=4096)
def _sure(cell: str) -> bool:
    """Whether all terminals agree on how wide a cell's text is."""
    if cell in NARROW or cell in ("", UNKNOWN):
        return True
    return len(cell) == 1 and any(start <= ord(cell) <= end for start, end in _WIDE)


def _whole(todo: list[int], old: list[str], new: list[str]) -> list[int]:
    """Cells to write in a line, no character being cut.

    Where terminals do not agree on a width, all that follows may be elsewhere, and is written too.
    """
    cells = set(todo)
    cells.update(x - 1 for x in todo if not new[x])
    cells.update(x + 1 for x in todo if x + 1 < len(new) and not new[x + 1])
    for x in todo:
        if not (_sure(old[x]) and _sure(new[x])):
            cells.update(range(x, len(new)))
            break
    return sorted(cells)
