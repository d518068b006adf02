"""What is said above a diff, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layerscope.tui.format import Line, cut, length
from layerscope.tui.glyphs import TO
from layerscope.tui.theme import Palette


@dataclass(frozen=True, slots=True)
class Told:
    """A line above the diff. Texts are safe to show.

    Attributes:
        name: What it is about.
        old: What it was; None if there is nothing to say of that.
        new: What it is; likewise.
        style: Name of the palette style of a text that is no change.
    """

    name: str
    old: str | None
    new: str | None
    style: str = "text"


def told_line(lines: Sequence[Told], index: int, width: int, colors: Palette) -> Line:
    """One of several such lines, whose texts stand below each other."""
    told = lines[index]
    room = min(24, max((len(each.name) for each in lines), default=0)) + 2
    line: Line = [(f" {cut(told.name, room - 2):{room}}", colors.muted)]
    left = max(0, width - room - 1)
    if told.old is None or told.new is None:
        text = told.new if told.old is None else told.old
        return [*line, (cut(text or "", left), getattr(colors, told.style))]
    arrow = f" {TO} "
    old = cut(told.old, max(left // 2, left - len(arrow) - len(told.new)))
    return [
        *line,
        (old, colors.removed),
        (arrow, colors.muted),
        (cut(told.new, max(0, left - length([(old, colors.text)]) - 3)), colors.added),
    ]
