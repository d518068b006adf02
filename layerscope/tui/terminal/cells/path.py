"""Finds the shortest output that updates cells: moves, pens, text, erased blanks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from layerscope.tui.terminal.cells.pens import Pens

Row: TypeAlias = tuple[list[str], list[int]]
"""A line: the text of each cell, empty for the second half of a wide character, and its pen."""

UNKNOWN = "\0"
"""The text of cells whose content is unknown."""

#: Characters that every terminal shows in one cell, and below, in two. Terminals disagree about
#: the others.
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

#: Characters whose neighbours can be written before or after them.
_ALONE = NARROW | {UNKNOWN}

#: The most unchanged cells to write again to save a move.
_GAP = 12
#: More bytes than any move takes.
_FAR = 1 << 20


class Piece(NamedTuple):
    """Adjacent cells of a line in one pen."""

    x: int
    width: int
    pen: int
    text: str = ""  # Empty for blanks.
    sure: bool = False  # For text: whether the cursor is known to be right after it.
    rest: bool = False  # For blanks: whether only blanks follow.


class Run(NamedTuple):
    """Pieces of a line to write from left to right."""

    y: int
    x: int
    pen: int
    pieces: list[Piece]
    row: Row


@dataclass(frozen=True, slots=True)
class Abilities:
    """The codes that a terminal understands besides the moves of a VT100."""

    codes: bool = True  # Codes that end one attribute, and CHA and VPA.
    erases_in_color: bool = True  # ECH; and erased cells get the background of the pen.
    scrolls: bool = True  # DECSTBM, IL and DL.

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Abilities:
        """Returns the abilities of the terminal in TERM; within GNU screen, STY is set.

        REP is never used: mosh and others call themselves xterm and do not know it.
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
    """Output, and the resulting cursor and pen."""

    def __init__(
        self,
        size: tuple[int, int],
        pens: Pens,
        abilities: Abilities,
        cursor: tuple[int, int],
        pen: int,
    ) -> None:
        self.out: list[str] = []
        #: Column and line of the cursor; -1 if unknown, as after the last column or after a
        #: character of uncertain width.
        self.x, self.y = cursor
        self.pen = pen
        self._columns = size[0]
        self._size = size
        self._pens = pens
        self._abilities = abilities

    def fork(self) -> Path:
        other = Path(self._size, self._pens, self._abilities, (self.x, self.y), self.pen)
        other.out = self.out[:]
        return other

    def turn(self, pen: int) -> None:
        if pen != self.pen:
            codes, self.pen = self._pens.turn(self.pen, pen)
            self.out.append(codes)

    def move(self, x: int, y: int) -> None:
        if (x, y) != (self.x, self.y):
            self.out.append(self._way(x, y))
            self.x, self.y = x, y

    def scroll(self, top: int, bottom: int, rows: int) -> None:
        """Scrolls lines up by a number of rows, or down if it is negative."""
        go = f"\x1b[{top + 1};{bottom + 1}r\x1b[{top + 1}H"
        count = "" if abs(rows) == 1 else abs(rows)
        self.out.append(f"{go}\x1b[{count}{'M' if rows > 0 else 'L'}\x1b[r")
        self.x = self.y = -1

    def write(self, runs: Iterable[Run]) -> None:
        """Writes runs, each time the one that takes the fewest bytes to reach.

        A move to the next line is shorter than a change of pen, so runs of one colour are written
        together, from top to bottom.
        """
        waiting: dict[int, list[Run]] = {}
        for run in sorted(runs, key=_place):
            waiting.setdefault(run.pen, []).append(run)
        while waiting:
            pen, place = self._nearest(waiting)
            self._run(waiting[pen].pop(place))
            if not waiting[pen]:
                del waiting[pen]

    def _nearest(self, waiting: Mapping[int, list[Run]]) -> tuple[int, int]:
        """Returns the pen and index of the run with the shortest move and change of pen."""
        nearest, least = (0, 0), (_FAR, 0, 0)
        for turn, pen in sorted((len(self._pens.turn(self.pen, pen)[0]), pen) for pen in waiting):
            if turn > least[0]:
                break
            runs = waiting[pen]
            place = bisect_left(runs, (self.y, self.x), key=_place) % len(runs)
            x, y = runs[place].x, runs[place].y
            near = y == self.y and 0 <= x - self.x <= 4
            cost = turn + (x - self.x if near else len(self._way(x, y))), y, x
            if cost < least:
                nearest, least = (pen, place), cost
        return nearest

    def _run(self, run: Run) -> None:
        for place, piece in enumerate(run.pieces):
            self._approach(piece.x, run.y, run.row)
            # The first piece may be blanks, which look the same in the run's pen.
            self.turn(piece.pen if place else run.pen)
            if piece.text:
                self.out.append(piece.text)
                self.x = piece.x + piece.width if piece.sure else -1
            else:
                more = place + 1 < len(run.pieces)
                self._blank(piece, more)

    def _blank(self, piece: Piece, more: bool) -> None:
        pen, count = self._pens.pens[piece.pen], piece.width
        # Erased cells have only a background.
        plain = pen.foreground is None
        colored = self._abilities.erases_in_color
        erased = f"\x1b[{count}X"
        onward = f"\x1b[{count}C" if more else ""
        if plain and piece.rest and count > 3 and (colored or not pen.background):
            self.out.append("\x1b[K")
        elif plain and colored and count > len(erased) + len(onward):
            self.out.append(erased)
        else:
            self.out.append(" " * count)
            self.x = self.x + count if self.x + count < self._columns else -1

    def _approach(self, x: int, y: int, wanted: Row) -> None:
        """Moves to a cell; rewrites the cells before it if that is shorter."""
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
        ways = [f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H"]
        if self.y == y:
            ways.append(self._across(x))
        elif self.y >= 0:
            down = y - self.y
            way = f"\x1b[{'' if abs(down) == 1 else abs(down)}{'B' if down > 0 else 'A'}"
            if self._abilities.codes:
                way = min(way, f"\x1b[{y + 1}d", key=len)
            ways.append(way + ("" if self.x == x else self._across(x)))
            if 0 < down < 4:
                # In some terminals, a line feed also returns to the first column.
                ways.append("\n" * down + self._from_start(x))
        return min(ways, key=len)

    def _from_start(self, x: int) -> str:
        """Returns the move to a column from an unknown one."""
        way = "\r" + (f"\x1b[{'' if x == 1 else x}C" if x else "")
        return min(way, f"\x1b[{x + 1}G", key=len) if self._abilities.codes else way

    def _across(self, x: int) -> str:
        ways = [self._from_start(x)]
        if 0 <= self.x < x:
            ways.append(f"\x1b[{'' if x - self.x == 1 else x - self.x}C")
        elif x < self.x:
            back = self.x - x
            ways += ["\b" * back, f"\x1b[{back}D"]
        return min(ways, key=len)


@lru_cache(maxsize=4096)
def _sure(cell: str) -> bool:
    """Whether all terminals agree on the width of a cell's text."""
    if cell in NARROW or cell in ("", UNKNOWN):
        return True
    return len(cell) == 1 and any(start <= ord(cell) <= end for start, end in _WIDE)


def runs_of(pens: Pens, y: int, shown: Row, wanted: Row) -> Iterator[Run]:
    """Splits the changes of a line into runs, one for each pen unless their order matters."""
    alone = _ALONE.issuperset(wanted[0]) and _ALONE.issuperset(shown[0])
    pen, run = 0, list[Piece]()
    for piece in _pieces(shown, wanted, alone):
        if run and alone and pens.turn(pen, piece.pen)[0]:
            if pens.turn(piece.pen, pen)[0]:
                yield Run(y, run[0].x, pen, run, wanted)
                run = []
            else:
                pen = piece.pen
        if not run:
            pen = piece.pen
        run.append(piece)
    if run:
        yield Run(y, run[0].x, pen, run, wanted)


def _pieces(shown: Row, wanted: Row, alone: bool) -> Iterator[Piece]:
    chars, pens = wanted
    todo = [
        x
        for x, (old, new, old_pen, pen) in enumerate(
            zip(shown[0], chars, shown[1], pens, strict=True)
        )
        if old != new or old_pen != pen
    ]
    if not alone:
        todo = _whole(todo, shown[0], chars)
    columns = len(chars)
    place, count = 0, len(todo)
    while place < count:
        x = end = todo[place]
        if not chars[x]:
            place += 1
            continue
        if chars[x] == " ":
            while end < columns and chars[end] == " " and pens[end] == pens[x]:
                end += 1
            while place < count and todo[place] < end:
                last = todo[place]
                place += 1
            yield Piece(x, last + 1 - x, pens[x], rest=end == columns)
            continue
        while place < count and todo[place] == end and pens[end] == pens[x]:
            if chars[end] == " " or (end > x and not _sure(chars[end])):
                break
            cell = chars[end]
            end += 2 if end + 1 < columns and not chars[end + 1] else 1
            place += 1
            if place < count and todo[place] < end:
                place += 1
            if not _sure(cell):
                break
        text = "".join(chars[x:end])
        if not _sure(cell):
            # Blanks the cells first, in case the terminal shows the character in fewer.
            # The cursor stays in the last column.
            back = end - x - (end == columns)
            text = " " * (end - x) + (f"\x1b[{back}D" if back else "") + text
        yield Piece(x, end - x, pens[x], text, sure=end < columns and _sure(cell))


def _whole(todo: list[int], old: list[str], new: list[str]) -> list[int]:
    """Returns the cells to write in a line, without cutting a wide character.

    Includes all cells after a character of uncertain width, which may have moved.
    """
    cells = set(todo)
    cells.update(x - 1 for x in todo if not new[x])
    cells.update(x + 1 for x in todo if x + 1 < len(new) and not new[x + 1])
    for x in todo:
        if not (_sure(old[x]) and _sure(new[x])):
            cells.update(range(x, len(new)))
            break
    return sorted(cells)


def _place(run: Run) -> tuple[int, int]:
    return run.y, run.x
