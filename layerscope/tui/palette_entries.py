"""What the palette offers: every action that has a key where the user is, and the themes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual.actions import parse
from textual.theme import BUILTIN_THEMES

from layerscope.tui.glyphs import sentence
from layerscope.tui.screens.palette import Entry
from layerscope.tui.theme import THEMES
from layerscope.tui.widgets.key_bar import why_not

if TYPE_CHECKING:
    from textual.screen import Screen

    from layerscope.tui.app import LayerscopeApp


@dataclass(frozen=True, slots=True)
class Command:
    """Something that the palette can do.

    Attributes:
        entry: How it is shown.
        run: Does it.
    """

    entry: Entry
    run: Callable[[], object]


def commands(app: LayerscopeApp, screen: Screen[object]) -> list[Command]:
    """Everything that can be done on a screen; moving about, which needs no list, comes last.

    Args:
        app: The app.
        screen: The screen that the user is on.
    """
    found: dict[str, Command] = {}
    for node, binding, _, _ in screen.active_bindings.values():
        name = binding.id or binding.action
        if name in found or name == "app.palette":
            continue
        _, action, parameters = parse(binding.action)
        text = sentence(binding.tooltip or binding.description, app.glyphs)
        entry = Entry(text, app.get_key_display(binding), why_not(node, action, parameters))
        found[name] = Command(entry, partial(app.call_later, app.run_action, binding.action, node))
    others = [
        Command(Entry(sentence(title, app.glyphs)), partial(app.call_later, run))
        for title, _, run, _ in app.get_system_commands(screen)
    ]
    moves = {name for name in found if name.startswith(("rows.", "text."))}
    return [
        *(command for name, command in found.items() if name not in moves),
        *others,
        *(found[name] for name in moves),
    ]


def theme_names() -> list[str]:
    """The themes to choose from, ours first."""
    return [theme.name for theme in THEMES] + [
        name for name in BUILTIN_THEMES if not name.startswith("textual-")
    ]
