"""Where two lines differ."""

from __future__ import annotations

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip


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
    before, after = _characters(old), _characters(new)
    limit = min(len(before), len(after))
    head = 0
    while head < limit and before[head] == after[head]:
        head += 1
    if head == limit == len(before) == len(after):
        return None
    tail = 0
    while tail < limit - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    # A combining character belongs to the cell before it.
    while head and (_width(after, head) == 0 or _width(before, head) == 0):
        head -= 1
    start = _cells(after[:head])
    end = new.cell_length - _cells(after[len(after) - tail :])
    return (start, end) if end > start else (0, new.cell_length)


def _characters(strip: Strip) -> list[tuple[str, Style | None]]:
    return [(character, style) for text, style, _ in strip for character in text]


def _width(characters: list[tuple[str, Style | None]], place: int) -> int:
    return cell_len(characters[place][0]) if place < len(characters) else 1


def _cells(characters: list[tuple[str, Style | None]]) -> int:
    return cell_len("".join(character for character, _ in characters))
