"""The lines of a text that is edited: gutter, colours, problems, selection, cursor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from layerscope.dockerfile import shown_text
from layerscope.dockerfile.colours import ColourSpan
from layerscope.dockerfile.problems import Severity
from layerscope.tui.dockerfile_ink import dockerfile_styles, severity_style
from layerscope.tui.theme import Palette, palette

if TYPE_CHECKING:
    from textual.app import App

INDENT = 4
#: Cells of the gutter for the size of a layer.
SIZE_CELLS = 9
_KEPT = 512


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of a line that something is wrong with.

    Attributes:
        start: Its first character in the line.
        end: The character behind it.
        severity: How bad it is.
    """

    start: int
    end: int
    severity: Severity


@dataclass(frozen=True, slots=True)
class AreaLine:
    """All that a line that is shown depends on.

    Attributes:
        number: Its number, from 1.
        text: The characters in sight, one more than there is room for.
        first: How many there are before them.
        skipped: Cells before `text` that are in sight, of a wide character or a tab cut in two.
        cell: The cell of the line that `text` begins in.
        colours: Colours of the line.
        marks: What is wrong with it.
        selected: The characters that are selected; the end may be one behind the last.
        cursor: The character that the cursor is on; None if it is elsewhere or not shown.
        here: Whether the cursor is in the line.
        size: What the layer of its instruction adds; None without an image.
        digits: Cells of the largest number.
        width: Cells of the line, gutter included.
        thumb: The cell of the scroll bar; empty without one.
        theme: Name of the theme.
    """

    number: int
    text: str
    first: int
    skipped: int
    cell: int
    colours: tuple[ColourSpan, ...]
    marks: tuple[Mark, ...]
    selected: tuple[int, int] | None
    cursor: int | None
    here: bool
    size: str | None
    digits: int
    width: int
    thumb: str
    theme: str


def gutter_width(digits: int, sizes: bool) -> int:
    """Cells in front of the text: size of a layer, number, letter of a problem."""
    return digits + 4 + (SIZE_CELLS if sizes else 0)


def character_cells(character: str, cell: int) -> int:
    """Cells that a character takes.

    Args:
        character: The character.
        cell: The cell of the line that it begins in, which a tab depends on.
    """
    return INDENT - cell % INDENT if character == "\t" else get_character_cell_size(character)


def line_cells(line: str) -> int:
    """Cells that a line takes."""
    if line.isascii() and "\t" not in line:
        return len(line)
    cell = 0
    for character in line:
        cell += character_cells(character, cell)
    return cell


def character_at(line: str, cell: int) -> int:
    """The character of a line that a cell is of, or the end of the line."""
    if line.isascii() and "\t" not in line:
        return min(cell, len(line))
    reached = 0
    for place, character in enumerate(line):
        reached += character_cells(character, reached)
        if reached > cell:
            return place
    return len(line)


def first_in_sight(line: str, left: int) -> tuple[int, int]:
    """The first character of a line from a cell on, and the cell that it begins in."""
    if not left or (line.isascii() and "\t" not in line):
        return min(left, len(line)), left
    cell = 0
    for place, character in enumerate(line):
        if cell >= left:
            return place, cell
        cell += character_cells(character, cell)
    return len(line), max(cell, left)


class LinePainter:
    """Makes lines, and keeps those that were made last: most are the same from key to key."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._kept: dict[AreaLine, Strip] = {}

    def strip(self, line: AreaLine) -> Strip:
        """A line in cells."""
        found = self._kept.get(line)
        if found is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            found = self._kept[line] = self._make(line)
        return found

    def _make(self, line: AreaLine) -> Strip:
        ink = palette(self._app)
        room = line.width - len(line.thumb)
        left = room - gutter_width(line.digits, line.size is not None)
        segments = [*self._gutter(line, ink), *self._text(line, ink, left)]
        strip = Strip(segments).adjust_cell_length(room, ink.text)
        if line.thumb:
            strip = Strip([*strip, Segment(line.thumb, ink.faint)], line.width)
        return strip.apply_style(ink.base).simplify()

    def _gutter(self, line: AreaLine, ink: Palette) -> list[Segment]:
        segments = []
        if line.size is not None:
            segments.append(Segment(f"{line.size:>{SIZE_CELLS - 1}} ", ink.added))
        style = ink.accent + ink.strong if line.here else ink.faint
        segments.append(Segment(f"{line.number:>{line.digits + 1}} ", style))
        letter, style = " ", ink.text
        if line.marks:
            worst = max(mark.severity for mark in line.marks)
            letter, style = worst.name[0], severity_style(self._app, worst) + ink.strong
        return [*segments, Segment(f"{letter} ", style)]

    def _text(self, line: AreaLine, ink: Palette, room: int) -> list[Segment]:
        segments = [Segment(" " * line.skipped, ink.text)] if line.skipped else []
        used, cell = line.skipped, line.cell
        pieces: list[tuple[str, Style]] = []
        for character, style in zip(line.text + " ", self._styles(line, ink), strict=True):
            cells = character_cells(character, cell)
            if used + cells > room:
                break
            if character == "\t":
                character = " " * cells
            elif shown_text.stands(character):
                character, style = shown_text.sign(character), style + ink.removed
            pieces.append((character, style))
            used += cells
            cell += cells
        for style, group in groupby(pieces, lambda piece: piece[1]):
            segments.append(Segment("".join(text for text, _ in group), style))
        return segments

    def _styles(self, line: AreaLine, ink: Palette) -> list[Style]:
        """The style of each character in sight, and of the cell behind the last."""
        count, first = len(line.text), line.first
        styles = [ink.text] * (count + 1)
        known: Mapping[str, Style] = dockerfile_styles(self._app)
        for (start, end), name in line.colours:
            style = known.get(name)
            if style is not None and end > first and start < first + count:
                places = range(max(0, start - first), min(count, end - first))
                styles[places.start : places.stop] = [style] * len(places)
        for mark in line.marks:
            underline = Style(underline=True) + severity_style(self._app, mark.severity)
            for place in range(max(0, mark.start - first), min(count, mark.end - first)):
                styles[place] += underline
        if line.selected is not None:
            style = Style(reverse=True) if ink.flat else ink.cursor
            begin, stop = (place - first for place in line.selected)
            for place in range(max(0, begin), min(count + 1, stop)):
                styles[place] = style
        if line.cursor is not None and 0 <= line.cursor - first <= count:
            place = line.cursor - first
            inside = line.selected is not None and line.selected[0] <= line.cursor
            # In a selection that is reversed itself, it is told by a line below.
            marked = inside and line.selected is not None and line.cursor < line.selected[1]
            styles[place] += Style(reverse=not (marked and ink.flat), underline=marked)
        return styles
