"""Themes, two in 256 colours and two in the terminal's own, and the palette of styles.

All colours are from the 256-colour cube, so they look the same without true colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

_DEFAULT = "ansi_default"
#: The colours of three themes: dark, light, and one with the terminal's own 16 colours.
_COLORS = {
    "primary": ("#87afd7", "#005f87", "ansi_cyan"),
    "secondary": ("#87afaf", "#005f5f", "ansi_cyan"),
    "accent": ("#87afd7", "#005f87", "ansi_cyan"),
    "success": ("#87d787", "#008700", "ansi_green"),
    "warning": ("#d7af5f", "#875f00", "ansi_yellow"),
    "error": ("#ff8787", "#af0000", "ansi_red"),
    "foreground": ("#dadada", "#262626", _DEFAULT),
    "background": ("#1c1c1c", "#eeeeee", _DEFAULT),
    "surface": ("#1c1c1c", "#eeeeee", _DEFAULT),
    "panel": ("#262626", "#dadada", _DEFAULT),
}
#: Theme variables, with two colours for those that the terminal's theme lacks.
_VARIABLES = {
    "border": ("#87afd7", "#005f87", "ansi_cyan"),
    "border-blurred": ("#4e4e4e", "#b2b2b2", _DEFAULT),
    "ls-muted": ("#9e9e9e", "#626262"),
    "ls-faint": ("#767676", "#8a8a8a"),
    "ls-cursor": ("#005f87", "#afd7ff"),
    "ls-cursor-blur": ("#303030", "#dadada"),
    "input-selection-background": ("#005f87", "#afd7ff"),
}


def _theme(name: str, place: int, variables: Mapping[str, str], **options: Any) -> Theme:
    colors: dict[str, Any] = {key: values[place] for key, values in _COLORS.items()}
    ours = {key: values[place] for key, values in _VARIABLES.items() if place < len(values)}
    return Theme(name, variables={**ours, **variables}, **colors, **options)


DARK = _theme("layerscope-dark", 0, {})
LIGHT = _theme("layerscope-light", 1, {}, dark=False)
TERMINAL = _theme(
    "layerscope-terminal",
    2,
    {
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "input-cursor-background": _DEFAULT,
        "input-cursor-foreground": _DEFAULT,
        "input-cursor-text-style": "reverse",
    },
    ansi=True,
    boost=_DEFAULT,
)

#: No colour: only bold, underlined and reversed text.
_MARKS: dict[str, Any] = dict.fromkeys(
    ("primary", "secondary", "accent", "success", "warning", "error"), _DEFAULT
)
PLAIN = replace(
    TERMINAL,
    name="layerscope-plain",
    variables={**TERMINAL.variables, "border": _DEFAULT},
    **_MARKS,
)

THEMES = (DARK, LIGHT, TERMINAL, PLAIN)


#: Backgrounds of removed and added parts of a line, from the 256-colour cube.
_PARTS = {
    DARK.name: {"error": "#5f0000", "success": "#005f00"},
    LIGHT.name: {"error": "#ffd7d7", "success": "#d7ffd7"},
}

#: The short names of layerscope's themes.
SHORT_NAMES = {theme.name.removeprefix("layerscope-"): theme.name for theme in THEMES}


def theme_named(name: str) -> str | None:
    """Returns the full name of a theme, ours or Textual's; None if it is unknown."""
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    return name if name in SHORT_NAMES.values() or name in BUILTIN_THEMES else None


@dataclass(frozen=True, slots=True)
class Palette:
    theme: str  # The theme's name.
    base: Style  # The base of all others.
    text: Style  # Ordinary text.
    strong: Style  # Emphasis that does not mean a change.
    muted: Style  # Explanations.
    faint: Style  # Separators.
    accent: Style  # layerscope's own colour.
    added: Style  # Added entries.
    modified: Style  # Modified entries.
    removed: Style  # Removed entries.
    warning: Style  # Warnings.
    match: Style  # Filter matches.
    removed_part: Style  # Added to the removed parts of a line in a diff.
    added_part: Style  # Added to the added parts.
    cursor: Style  # The cursor's row in the focused pane.
    cursor_blur: Style  # The cursor's row in other panes.
    #: Whether the cursor's row has no colours of its own: with 16 colours, which users can
    #: redefine, only the reverse of the defaults is sure to be readable.
    flat: bool

    @property
    def on_cursor(self) -> Palette:
        """Returns the palette under the cursor, where faint text would be unreadable."""
        return replace(self, muted=self.text, faint=self.text)

    def named(self, name: str) -> Style:
        """Returns a style by name; combines several names separated by spaces."""
        styles: list[Style] = [getattr(self, each) for each in name.split()]
        return sum(styles[1:], styles[0])

    def change(self, change: int) -> Style:
        return (self.text, self.added, self.modified, self.removed)[change]


def contrast(one: Color, other: Color) -> float:
    """Returns the contrast ratio of two colours, from 1 to 21, as defined in WCAG 2."""

    def light(color: Color) -> float:
        parts = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
            for part in color.normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def _readable(color: Color, least: float, *grounds: Color) -> Color:
    """Returns a colour, lightened or darkened until it is readable on all backgrounds."""
    extreme = grounds[0].get_contrast_text(1.0)
    for share in range(10):
        tried = color.blend(extreme, share / 10)
        if all(contrast(tried, ground) >= least for ground in grounds):
            return tried
    return extreme


def _color(text: str, on: Color) -> Color:
    """Parses a theme's colour; `auto` is black or white, whichever is readable on `on`."""
    return on.get_contrast_text(1.0) if text.startswith("auto") else Color.parse(text)


def palette_of(theme: Theme, variables: Mapping[str, str]) -> Palette:
    """Returns the palette of a theme, with the variables that Textual derives from it."""
    return _of_terminal(theme) if theme.ansi else _of_colors(theme, variables)


def _of_terminal(theme: Theme) -> Palette:
    if theme.name == PLAIN.name:
        bold = Style(bold=True)
        marks = {"added": Style(), "modified": Style(), "removed": Style()}
        marks |= {"accent": bold, "warning": bold}
    else:
        named = {
            "added": theme.success,
            "modified": theme.warning,
            "removed": theme.error,
            "accent": theme.primary,
            "warning": theme.warning,
        }
        marks = {
            name: Style(color=Color.parse(color or theme.primary).rich_color)
            for name, color in named.items()
        }
    # Without enough colours, underlines differences.
    part = Style(bold=True, underline=True)
    return Palette(
        theme=theme.name,
        base=Style(),
        text=Style(),
        strong=Style(bold=True),
        muted=Style(),
        faint=Style(dim=True),
        match=Style(underline=True, bold=True),
        removed_part=part,
        added_part=part,
        cursor=Style(reverse=True),
        cursor_blur=Style(bold=True, underline=True),
        flat=True,
        **marks,
    )


def _of_colors(theme: Theme, variables: Mapping[str, str]) -> Palette:
    """Returns the palette of any theme, with adjusted colours where it would be hard to read."""
    background = Color.parse(variables["background"])
    foreground = _color(variables["foreground"], background)
    primary = Color.parse(variables["primary"])

    def known(name: str, otherwise: Color) -> Color:
        return Color.parse(variables[name]) if name in variables else otherwise

    cursor = known("ls-cursor", background.blend(primary, 0.3))
    blurred = known("ls-cursor-blur", background.blend(foreground, 0.12))

    def style(color: Color, least: float, *grounds: Color) -> Style:
        return Style(color=_readable(color, least, *grounds).rich_color)

    def mark(name: str) -> Style:
        color = _color(variables.get(name) or variables["primary"], background)
        return style(color, 3.0, background, cursor)

    def part(name: str) -> Style:
        ground = _PARTS.get(theme.name, {}).get(name)
        mixed = background.blend(Color.parse(variables[name]), 0.25)
        return Style(bgcolor=ground or mixed.hex)

    return Palette(
        theme=theme.name,
        base=Style(color=foreground.rich_color, bgcolor=background.rich_color),
        text=Style(),
        strong=Style(bold=True),
        muted=style(known("ls-muted", background.blend(foreground, 0.7)), 4.0, background),
        faint=style(known("ls-faint", background.blend(foreground, 0.4)), 2.4, background),
        accent=mark("primary"),
        added=mark("success"),
        modified=mark("warning"),
        removed=mark("error"),
        warning=mark("warning"),
        match=Style(underline=True, bold=True),
        removed_part=part("error"),
        added_part=part("success"),
        cursor=Style(
            # The usual colour if readable, so that only the background has to be sent.
            color=_readable(foreground, 4.5, cursor).rich_color,
            bgcolor=cursor.rich_color,
        ),
        cursor_blur=Style(bgcolor=blurred.rich_color),
        flat=False,
    )
