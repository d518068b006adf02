"""The colours of program text, in every theme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.style import Style

from layerscope.content.display import ESCAPE
from layerscope.content.highlight import Category
from layerscope.tui.theme import DARK, LIGHT, Palette, palette

if TYPE_CHECKING:
    from textual.app import App

#: Added to a category where a search matches, and where the match is that the user is at.
MATCH, CURRENT = 64, 128

# From the 256-colour cube, like all else.
_COLORS: Mapping[str, Mapping[Category, str]] = {
    DARK.name: {
        Category.KEYWORD: "#87afd7",
        Category.STRING: "#afd787",
        Category.NUMBER: "#d7af87",
        Category.NAME: "#87d7d7",
        Category.BUILTIN: "#afafd7",
        Category.TAG: "#87afd7",
    },
    LIGHT.name: {
        Category.KEYWORD: "#005faf",
        Category.STRING: "#005f00",
        Category.NUMBER: "#875f00",
        Category.NAME: "#005f5f",
        Category.BUILTIN: "#5f00af",
        Category.TAG: "#005faf",
    },
}

_styles: dict[str, dict[int, Style]] = {}


def syntax_styles(app: App[object]) -> Mapping[int, Style]:
    """Styles by `Category` and `ESCAPE`, with `MATCH` or `CURRENT` added or not; 0 is plain."""
    name = app.theme
    if name not in _styles:
        _styles[name] = _make(name, palette(app))
    return _styles[name]


def _make(name: str, ink: Palette) -> dict[int, Style]:
    found: dict[int, Style] = {
        0: ink.text,
        ESCAPE: ink.removed,
        Category.COMMENT: ink.faint if ink.flat else ink.muted,
        Category.KEYWORD: ink.accent,
        Category.STRING: ink.added,
        Category.NUMBER: ink.modified,
        Category.NAME: ink.strong,
        Category.BUILTIN: ink.accent,
        Category.TAG: ink.accent,
        Category.INSERTED: ink.added,
        Category.DELETED: ink.removed,
        Category.HEADING: ink.strong,
    }
    for category, color in _COLORS.get(name, {}).items():
        found[category] = Style(color=color)
    plain = dict(found)
    found |= {category + MATCH: style + ink.match for category, style in plain.items()}
    # The reverse of what is there is readable with any colours.
    reverse = Style(reverse=True)
    found |= {category + CURRENT: style + reverse for category, style in plain.items()}
    return found
