"""The styles of a diff, in every theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.style import Style
from textual.color import Color

from layerscope.content.diff_rows import CHANGED
from layerscope.content.display import ESCAPE
from layerscope.tui.syntax import MATCH, syntax_styles
from layerscope.tui.theme import DARK, LIGHT, palette

if TYPE_CHECKING:
    from textual.app import App

# From the 256-colour cube, like all else: under what is gone, and under what has come.
_GROUNDS = {DARK.name: ("#5f0000", "#005f00"), LIGHT.name: ("#ffd7d7", "#d7ffd7")}
_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class DiffInk:
    """Styles of the two texts; the first of each pair is that of the old one.

    Attributes:
        marks: Of the signs and numbers of lines that differ.
        changed: Added to what differs within a line.
        plain: Whether lines that differ have the style of their sign instead of that of their
            syntax: with 16 colours there are not enough for both.
    """

    marks: tuple[Style, Style]
    changed: tuple[Style, Style]
    plain: bool


_inks: dict[str, DiffInk] = {}


def diff_ink(app: App[object]) -> DiffInk:
    """The styles of an app's theme, made once for each."""
    name = app.theme
    if name not in _inks:
        _inks[name] = _make(app)
    return _inks[name]


def _make(app: App[object]) -> DiffInk:
    ink = palette(app)
    if ink.flat:
        # Without colours, a line under it tells what differs.
        marked = Style(bold=True, underline=True)
        return DiffInk((ink.removed, ink.added), (marked, marked), True)
    grounds = _GROUNDS.get(app.theme)
    if grounds is None:
        variables = app.theme_variables
        background = Color.parse(variables["background"])
        one, other = (
            background.blend(Color.parse(variables[name]), _SHARE).hex
            for name in ("error", "success")
        )
        grounds = one, other
    return DiffInk(
        (ink.removed, ink.added), (Style(bgcolor=grounds[0]), Style(bgcolor=grounds[1])), False
    )


def piece_style(app: App[object], category: int, side: int | None) -> Style:
    """The style of a part of a line.

    Args:
        app: The app.
        category: As `overlaid` made it.
        side: 0 in a line of the old text that differs, 1 in one of the new; None elsewhere.
    """
    ink, syntax = diff_ink(app), syntax_styles(app)
    if category == ESCAPE:
        return syntax[ESCAPE]
    matches, changed = category & MATCH, category & CHANGED
    category &= MATCH - 1
    style = ink.marks[side] if ink.plain and side is not None else syntax.get(category, syntax[0])
    if changed and side is not None:
        style = style + ink.changed[side]
    return style + Style(reverse=True) if matches else style
