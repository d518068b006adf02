"""Colours: two themes of our own, one with the terminal's own 16 colours, and styles made of them.

The colours are taken from the 256-colour cube, so that a terminal without true colour shows the
very same picture and no line is spent on telling near shades apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

if TYPE_CHECKING:
    from textual.app import App

DARK = Theme(
    name="layerscope-dark",
    primary="#87afd7",
    secondary="#87afaf",
    accent="#87afd7",
    success="#87d787",
    warning="#d7af5f",
    error="#ff8787",
    foreground="#dadada",
    background="#1c1c1c",
    surface="#1c1c1c",
    panel="#262626",
    dark=True,
    variables={
        "ls-muted": "#9e9e9e",
        "ls-faint": "#767676",
        "ls-cursor": "#005f87",
        "ls-cursor-blur": "#303030",
        "ls-cursor-text": "#ffffff",
        "border": "#87afd7",
        "border-blurred": "#4e4e4e",
        "input-selection-background": "#005f87",
    },
)

LIGHT = Theme(
    name="layerscope-light",
    primary="#005f87",
    secondary="#005f5f",
    accent="#005f87",
    success="#008700",
    warning="#875f00",
    error="#af0000",
    foreground="#262626",
    background="#eeeeee",
    surface="#eeeeee",
    panel="#dadada",
    dark=False,
    variables={
        "ls-muted": "#626262",
        "ls-faint": "#8a8a8a",
        "ls-cursor": "#afd7ff",
        "ls-cursor-blur": "#dadada",
        "ls-cursor-text": "#121212",
        "border": "#005f87",
        "border-blurred": "#b2b2b2",
        "input-selection-background": "#afd7ff",
    },
)

TERMINAL = Theme(
    name="layerscope-terminal",
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={
        "border": "ansi_cyan",
        "border-blurred": "ansi_default",
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "input-cursor-background": "ansi_default",
        "input-cursor-foreground": "ansi_default",
        "input-cursor-text-style": "reverse",
    },
)

#: No colour at all: what stands out is bold, underlined or reversed.
PLAIN = replace(
    TERMINAL,
    name="layerscope-plain",
    primary="ansi_default",
    secondary="ansi_default",
    accent="ansi_default",
    success="ansi_default",
    warning="ansi_default",
    error="ansi_default",
    variables={**TERMINAL.variables, "border": "ansi_default"},
)

THEMES = (DARK, LIGHT, TERMINAL, PLAIN)


#: What our themes are called for short.
SHORT_NAMES = {theme.name.removeprefix("layerscope-"): theme.name for theme in THEMES}


def theme_named(name: str) -> str | None:
    """The full name of a theme, ours or one of Textual's; None if there is none."""
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    return name if name in SHORT_NAMES.values() or name in BUILTIN_THEMES else None


@dataclass(frozen=True, slots=True)
class Palette:
    """The styles that lines are made of.

    Attributes:
        base: Under everything else.
        text: Ordinary text.
        strong: What stands out without meaning a change.
        muted: What explains.
        faint: What only separates.
        accent: The one colour that is ours.
        added: Added entries.
        modified: Modified entries.
        removed: Removed entries.
        warning: What to take note of.
        match: Where a filter matches.
        cursor: Under the row with the cursor, in the pane with the focus.
        cursor_blur: The same in the other panes.
        flat: Whether the row with the cursor has no colours of its own: with 16 colours, which
            can all be anything, only the reverse of the default ones is sure to be readable.
    """

    base: Style
    text: Style
    strong: Style
    muted: Style
    faint: Style
    accent: Style
    added: Style
    modified: Style
    removed: Style
    warning: Style
    match: Style
    cursor: Style
    cursor_blur: Style
    flat: bool

    @property
    def on_cursor(self) -> Palette:
        """The same under the cursor, where nothing is faint enough to be lost."""
        return replace(self, muted=self.text, faint=self.text)

    def change(self, change: int) -> Style:
        """The style of a `Change`."""
        return (self.text, self.added, self.modified, self.removed)[change]


_palettes: dict[str, Palette] = {}


def palette(app: App[object]) -> Palette:
    """The palette of an app's theme, made once for each."""
    name = app.theme
    if name not in _palettes:
        _palettes[name] = _make(app.current_theme, app.theme_variables)
    return _palettes[name]


def contrast(one: Color, other: Color) -> float:
    """How well a colour can be read on another, from 1 to 21, as WCAG 2 defines it."""

    def light(color: Color) -> float:
        parts = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
            for part in color.normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def _readable(color: Color, least: float, *grounds: Color) -> Color:
    """A colour, made lighter or darker until it can be read on all of some backgrounds."""
    extreme = grounds[0].get_contrast_text(1.0)
    for share in range(10):
        tried = color.blend(extreme, share / 10)
        if all(contrast(tried, ground) >= least for ground in grounds):
            return tried
    return extreme


def _color(text: str, on: Color) -> Color:
    """A colour of a theme's; `auto` is black or white, whichever can be read on a background."""
    return on.get_contrast_text(1.0) if text.startswith("auto") else Color.parse(text)


def _make(theme: Theme, variables: Mapping[str, str]) -> Palette:
    return _of_terminal(theme) if theme.ansi else _of_colors(theme, variables)


def _of_terminal(theme: Theme) -> Palette:
    """Of the terminal's own colours, or of none."""
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
    return Palette(
        base=Style(),
        text=Style(),
        strong=Style(bold=True),
        muted=Style(),
        faint=Style(dim=True),
        match=Style(underline=True, bold=True),
        cursor=Style(reverse=True),
        cursor_blur=Style(bold=True, underline=True),
        flat=True,
        **marks,
    )


def _of_colors(theme: Theme, variables: Mapping[str, str]) -> Palette:
    """Of a theme that may know nothing of us: what would be hard to read is made readable."""
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

    return Palette(
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
        cursor=Style(
            color=_readable(known("ls-cursor-text", foreground), 4.5, cursor).rich_color,
            bgcolor=cursor.rich_color,
        ),
        cursor_blur=Style(bgcolor=blurred.rich_color),
        flat=False,
    )
