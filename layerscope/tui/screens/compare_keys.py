"""The keys of the screen that compares two images."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from layerscope.tui.screens.pane_keys import (
    match_bindings,
    pane_bindings,
    tree_bindings,
    zoom_binding,
)

#: What its key bar shows in each pane, most important first.
HINTS = {
    "config": ("compare.cancel", "config.values", "compare.next_pane", "compare.zoom"),
    "pairs": ("compare.cancel", "compare.next_pane", "compare.zoom"),
    "files": (
        "compare.cancel",
        "files.open",
        "compare.diff",
        "compare.filter",
        "compare.next_match compare.previous_match=Match",
        "compare.added compare.removed compare.modified compare.unchanged=Kinds",
        "compare.sort compare.reverse=Sort",
        "compare.zoom",
    ),
    "": ("compare.back",),
    "end": ("app.help",),
}

BINDINGS: list[BindingType] = [
    *pane_bindings(
        "compare",
        {"config": "Configuration", "pairs": "Layers", "files": "Files"},
    ),
    zoom_binding("compare"),
    Binding("d", "diff", "Diff", tooltip="Show what differs in the path", id="compare.diff"),
    Binding(
        "slash",
        "filter",
        "Filter",
        key_display="/",
        tooltip="Filter by name; in paths, * and ? are wildcards",
        id="compare.filter",
    ),
    *match_bindings("compare"),
    *tree_bindings("compare"),
    Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop reading", id="compare.cancel"),
    Binding("escape,q", "back", "Back", key_display="esc", id="compare.back"),
]
