"""Lines in cells, and where two of them differ."""

from __future__ import annotations

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from layerscope.tui.format import Line
from layerscope.tui.glyphs import THUMB


def strip_of(line: Line, width: int) -> Strip:
    """A line in exactly so many cells."""
    return Strip([Segment(text, style) for text, style in line if text]).adjust_cell_length(
        width, Style()
    )


def thumb_cell(place: int, page: int, count: int, top: int) -> str:
    """The cell of the scroll bar in a line; empty if everything fits.

    It is part of the lines, so that scrolling, which repaints these anyway, moves it for free.

    Args:
        place: The line, from 0.
        page: How many lines there are.
        count: How many rows.
        top: The row in line 0.
    """
    if count <= page:
        return ""
    size = max(1, page * page // count)
    start = (page - size) * top // (count - page)
    return THUMB if start <= place < start + size else " "


def changed_span(old: Strip, new: Strip) -> tuple[int, int] | None:
    """The cells from the first to the last in which a line has become different.

    Args:
        old: The line as it was.
        new: The line as it is, of the same width.

    Returns:
        Start and end, or None if nothing has changed.
    """
    if old == new:
        return None
    if old.cell_length != new.cell_length:
        return 0, max(old.cell_length, new.cell_length)
    if not (_is_narrow(old) and _is_narrow(new)):
        # Wide and combining characters cannot be cut anywhere.
        return 0, new.cell_length
    before, after = _characters(old), _characters(new)
    limit = len(after)
    head = 0
    while head < limit and before[head] == after[head]:
        head += 1
    if head == limit:
        return None
    tail = 0
    while tail < limit - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head, limit - tail


def _is_narrow(strip: Strip) -> bool:
    """Whether every character takes one cell. To count both would let two kinds make up."""
    return all(
        get_character_cell_size(character) == 1 for text, _, _ in strip for character in text
    )


def _characters(strip: Strip) -> list[tuple[str, Style | None]]:
    return [(character, style) for text, style, _ in strip for character in text]
