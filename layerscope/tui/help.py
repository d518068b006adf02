"""The groups of the help page, from the bindings of every screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.tui.keymap import SCOPES, Scope
from layerscope.tui.screens.help import Group

if TYPE_CHECKING:
    from textual.binding import Binding
    from textual.screen import Screen

    from layerscope.tui.app import LayerscopeApp


def help_groups(app: LayerscopeApp, screen: Screen[object]) -> list[Group]:
    """What the help page shows.

    Args:
        app: The app, which knows what its keys are now.
        screen: Where the user is; its keys come first.
    """
    here = next((scope.screen for scope in SCOPES if isinstance(screen, scope.load())), "")
    near = [scope for scope in SCOPES if scope.screen == here]
    common = [scope for scope in SCOPES if not scope.screen and scope not in near]
    far = [scope for scope in SCOPES if scope not in near and scope not in common]
    groups: dict[str, list[tuple[str, str]]] = {}
    for scope in [*near, *common, *far]:
        groups.setdefault(scope.heading, []).extend(_rows(app, scope))
    return list(groups.items())


def _rows(app: LayerscopeApp, scope: Scope) -> list[tuple[str, str]]:
    rows: dict[str, tuple[list[str], str]] = {}
    for binding in scope.bindings():
        if binding.id is None or binding.id in rows:
            if binding.id and binding.id not in app.keymap:
                rows[binding.id][0].append(app.get_key_display(binding))
            continue
        keys = [app.get_key_display(each) for each in _bound(app, binding)]
        rows[binding.id] = (keys, binding.tooltip or binding.description)
    # A binding that several parts have, each for itself, is one to the user.
    return [(" ".join(dict.fromkeys(keys)), text) for keys, text in rows.values()]


def _bound(app: LayerscopeApp, binding: Binding) -> list[Binding]:
    """A binding with the keys that the settings give it."""
    keys = app.keymap.get(binding.id or "")
    if keys is None:
        return [binding]
    return [binding.with_key(key, None) for key in keys.split(",")]
