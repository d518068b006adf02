"""Converts settings to arguments of the app; checks themes and keys."""

from __future__ import annotations

import os
from collections.abc import Sequence

from layerscope.config import Settings
from layerscope.text import visible
from layerscope.tui.terminal.theme import DARK, PLAIN, SHORT_NAMES, TERMINAL, theme_named


def checked(settings: Settings) -> dict[str, tuple[tuple[str, ...], str]]:
    """Checks themes and keys, adds warnings, and returns the keys and texts of bindings by id."""
    from layerscope.tui.keys.keymap import all_bound
    from layerscope.tui.rooms import ROOMS

    theme_of(settings)
    keymap_of(settings)
    return {name: (each.keys, each.what) for name, each in all_bound(ROOMS).items()}


def keymap_of(settings: Settings) -> dict[str, str]:
    """The key map for `App.set_keymap`; invalid keys become warnings."""
    if not settings.keys:
        return {}
    from layerscope.tui.keys.keymap import checked_keymap
    from layerscope.tui.rooms import ROOMS

    return checked_keymap(settings, ROOMS)


def notice_of(warnings: Sequence[str]) -> str:
    if len(warnings) < 2:
        return "".join(warnings)
    return f"{warnings[0]} `layerscope config` lists {len(warnings) - 1} more."


def ascii_of(settings: Settings) -> bool | None:
    """Whether the user wants ASCII; None decides by the terminal."""
    value = settings.values["ascii"]
    return value if isinstance(value, bool) else None


def theme_of(settings: Settings) -> str:
    """Returns the name of the theme; an unknown one becomes a warning."""
    wanted = settings.values["theme"]
    if wanted != "auto":
        name = theme_named(wanted)
        if name is not None:
            return name
        origin = settings.origins["theme"]
        names = ", ".join(["auto", *SHORT_NAMES])
        text = f"there is no theme {visible(wanted)!r}; there are {names}, and those of the palette"
        if origin == "file":
            settings.warn(settings.lines.get("theme", 0), text)
        else:
            where = "--theme" if origin == "flag" else origin
            settings.warnings.append(f"{visible(where)}: {text}.")
        settings.values["theme"], settings.origins["theme"] = "auto", "default"
    return _fitting_theme()


def _fitting_theme() -> str:
    """Returns a theme that looks as intended in the terminal's colours."""
    from rich.console import Console

    if os.environ.get("NO_COLOR"):
        return PLAIN.name
    few = Console(stderr=True).color_system in (None, "standard")
    return (TERMINAL if few else DARK).name
