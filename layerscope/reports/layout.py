"""Tables and lines of reports that fit the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from layerscope.reports.color import BOLD, painted
from layerscope.text import COLORS


def terminal_width() -> int:
    """Columns of the terminal, within limits; 100 in a pipe."""
    return max(60, min(shutil.get_terminal_size((100, 24)).columns, 200))


def table(rows: Sequence[Sequence[str]], align: str, gap: str = "  ") -> Iterator[str]:
    """Lines of a table from cells that are safe on a terminal, and may have colors.

    The first row is the heading.
    """
    widths = [max(map(_length, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = zip(row, align, widths, strict=True)
        line = gap.join(_aligned(cell, side, width) for cell, side, width in cells).rstrip()
        yield line if number else painted(line, BOLD)


def _length(cell: str) -> int:
    return len(COLORS.sub("", cell))


def _aligned(cell: str, side: str, width: int) -> str:
    space = " " * (width - _length(cell))
    return space + cell if side == ">" else cell + space
