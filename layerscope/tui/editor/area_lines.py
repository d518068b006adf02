"""Renders the lines of the text area: gutter, colours, problems, selection, cursor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from layerscope.content.highlight import Category
from layerscope.dockerfile.checks.problems import Severity
from layerscope.dockerfile.editing import shown_text
from layerscope.dockerfile.editing.highlight import ColourSpan
from layerscope.tui.terminal.syntax import syntax_styles
from layerscope.tui.terminal.theme import Palette

INDENT = 4
#: Cells of the gutter for the size of a layer.
SIZE_CELLS = 9
_KEPT = 512
#: By colour name.
_CATEGORIES: Mapping[str, Category] = {
    "comment": Category.COMMENT,
    "constant": Category.BUILTIN,
    "keyword": Category.KEYWORD,
    "label": Category.TAG,
    "number": Category.NUMBER,
    "property": Category.NAME,
    "punctuation.special": Category.BUILTIN,
    "string": Category.STRING,
    "string.escape": Category.BUILTIN,
    "variable": Category.BUILTIN,
}
#: Names of palette styles.
SEVERITIES: Mapping[Severity, str] = {
    Severity.ERROR: "removed",
    Severity.WARNING: "warning",
    Severity.INFO: "accent",
}


def dockerfile_styles(colors: Palette) -> Mapping[str, Style]:
    """Returns styles by colour name; other names have none."""
    styles = syntax_styles(colors)
    found = {name: styles[kind] for name, kind in _CATEGORIES.items()}
    if colors.flat:
        # With few or no colours, keywords are bold.
        found["keyword"] += Style(bold=True)
    return found


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a line that has a problem, from `start` up to `end`, in characters."""

    start: int
    end: int
    severity: Severity


@dataclass(frozen=True, slots=True)
class AreaLine:
    """All that determines how a line looks, except the theme."""

    number: int  # Line number, from 1.
    text: str  # The visible characters, and one more.
    first: int  # The number of characters before `text`.
    skipped: int  # Visible cells before `text`, from a wide character or tab that is cut off.
    cell: int  # The cell where `text` begins.
    colours: tuple[ColourSpan, ...]
    marks: tuple[Mark, ...]
    selected: (
        tuple[int, int] | None
    )  # The selected characters; the end may be one past the last character.
    cursor: int | None  # The character under the cursor; None if it is elsewhere or not shown.
    here: bool  # Whether the cursor is on the line.
    size: str | None  # The size that its instruction's layer added; None without an image.
    digits: int  # Cells of the largest line number.
    width: int  # Cells of the line, with the gutter.
    thumb: str  # The cell of the scroll bar, or "".


def gutter_width(digits: int, sizes: bool) -> int:
    """Returns the cells before the text: layer size, line number, problem letter."""
    return digits + 4 + (SIZE_CELLS if sizes else 0)


def character_cells(character: str, cell: int) -> int:
    """Returns the width of a character at a cell, which matters for a tab."""
    return INDENT - cell % INDENT if character == "\t" else get_character_cell_size(character)


def line_cells(line: str) -> int:
    if line.isascii() and "\t" not in line:
        return len(line)
    cell = 0
    for character in line:
        cell += character_cells(character, cell)
    return cell


def character_at(line: str, cell: int) -> int:
    if line.isascii() and "\t" not in line:
        return min(cell, len(line))
    reached = 0
    for place, character in enumerate(line):
        reached += character_cells(character, reached)
        if reached > cell:
            return place
    return len(line)


def first_in_sight(line: str, left: int) -> tuple[int, int]:
    """Returns the first character that begins at or after a cell, and its cell."""
    if not left or (line.isascii() and "\t" not in line):
        return min(left, len(line)), left
    cell = 0
    for place, character in enumerate(line):
        if cell >= left:
            return place, cell
        cell += character_cells(character, cell)
    return len(line), max(cell, left)


class LinePainter:
    def __init__(self, colors: Palette) -> None:
        self._colors = colors
        # Most lines do not change between keys.
        self.strip = lru_cache(_KEPT)(self._make)

    def _make(self, line: AreaLine) -> Strip:
        colors = self._colors
        room = line.width - len(line.thumb)
        left = room - gutter_width(line.digits, line.size is not None)
        segments = [*self._gutter(line, colors), *self._text(line, colors, left)]
        strip = Strip(segments).adjust_cell_length(room, colors.text)
        if line.thumb:
            strip = Strip([*strip, Segment(line.thumb, colors.faint)], line.width)
        return strip.apply_style(colors.base).simplify()

    def _gutter(self, line: AreaLine, colors: Palette) -> list[Segment]:
        segments = []
        if line.size is not None:
            segments.append(Segment(f"{line.size:>{SIZE_CELLS - 1}} ", colors.added))
        style = colors.accent + colors.strong if line.here else colors.faint
        segments.append(Segment(f"{line.number:>{line.digits + 1}} ", style))
        letter, style = " ", colors.text
        if line.marks:
            worst = max(mark.severity for mark in line.marks)
            letter, style = worst.name[0], colors.named(f"{SEVERITIES[worst]} strong")
        return [*segments, Segment(f"{letter} ", style)]

    def _text(self, line: AreaLine, colors: Palette, room: int) -> list[Segment]:
        segments = [Segment(" " * line.skipped, colors.text)] if line.skipped else []
        used, cell = line.skipped, line.cell
        pieces: list[tuple[str, Style]] = []
        for character, style in zip(line.text + " ", self._styles(line, colors), strict=True):
            cells = character_cells(character, cell)
            if used + cells > room:
                break
            if character == "\t":
                character = " " * cells
            elif shown_text.stands(character):
                character, style = shown_text.sign(character), style + colors.removed
            pieces.append((character, style))
            used += cells
            cell += cells
        for style, group in groupby(pieces, lambda piece: piece[1]):
            segments.append(Segment("".join(text for text, _ in group), style))
        return segments

    def _styles(self, line: AreaLine, colors: Palette) -> list[Style]:
        """Returns the style of each visible character, and of the cell after the last."""
        count, first = len(line.text), line.first
        styles = [colors.text] * (count + 1)
        known: Mapping[str, Style] = dockerfile_styles(colors)
        for (start, end), name in line.colours:
            style = known.get(name)
            if style is not None and end > first and start < first + count:
                places = range(max(0, start - first), min(count, end - first))
                styles[places.start : places.stop] = [style] * len(places)
        for mark in line.marks:
            underline = Style(underline=True) + colors.named(SEVERITIES[mark.severity])
            for place in range(max(0, mark.start - first), min(count, mark.end - first)):
                styles[place] += underline
        if line.selected is not None:
            style = Style(reverse=True) if colors.flat else colors.cursor
            begin, stop = (place - first for place in line.selected)
            for place in range(max(0, begin), min(count + 1, stop)):
                styles[place] = style
        if line.cursor is not None and 0 <= line.cursor - first <= count:
            place = line.cursor - first
            inside = line.selected is not None and line.selected[0] <= line.cursor
            # In a reversed selection, an underline marks the cursor.
            marked = inside and line.selected is not None and line.cursor < line.selected[1]
            styles[place] += Style(reverse=not (marked and colors.flat), underline=marked)
        return styles
