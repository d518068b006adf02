"""Lines as strips of cells, and the scroll bar in them."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from layerscope.tui.rows.format import Line
from layerscope.tui.terminal.glyphs import THUMB


def strip_of(line: Line, width: int) -> Strip:
    return Strip([Segment(text, style) for text, style in line if text]).adjust_cell_length(
        width, Style()
    )


def thumb_cell(place: int, page: int, count: int, top: int) -> str:
    """Returns the scroll bar's cell in the line at `place`, or "" if all rows fit.

    The bar is part of the lines, which scrolling repaints anyway.
    """
    if count <= page:
        return ""
    size = max(1, page * page // count)
    start = (page - size) * top // (count - page)
    return THUMB if start <= place < start + size else " "
