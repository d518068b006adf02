"""The colours of source code, in every theme."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from rich.style import Style

from layerscope.content.display import ESCAPE
from layerscope.content.highlight import Category
from layerscope.tui.terminal.theme import DARK, LIGHT, Palette

#: Added to the category of a search match, and of the current match.
MATCH, CURRENT = 64, 128

# From the 256-colour cube, like all colours.
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


@lru_cache(8)
def syntax_styles(colors: Palette) -> Mapping[int, Style]:
    """Returns styles by `Category` or `ESCAPE`, plus `MATCH` or `CURRENT` or not; 0 is plain."""
    found: dict[int, Style] = {
        0: colors.text,
        ESCAPE: colors.removed,
        Category.COMMENT: colors.faint if colors.flat else colors.muted,
        Category.KEYWORD: colors.accent,
        Category.STRING: colors.added,
        Category.NUMBER: colors.modified,
        Category.NAME: colors.strong,
        Category.BUILTIN: colors.accent,
        Category.TAG: colors.accent,
        Category.INSERTED: colors.added,
        Category.DELETED: colors.removed,
        Category.HEADING: colors.strong,
    }
    for category, color in _COLORS.get(colors.theme, {}).items():
        found[category] = Style(color=color)
    plain = dict(found)
    found |= {category + MATCH: style + colors.match for category, style in plain.items()}
    # Reversed text is readable in any colour.
    reverse = Style(reverse=True)
    found |= {category + CURRENT: style + reverse for category, style in plain.items()}
    return found
