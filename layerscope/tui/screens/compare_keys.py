"""The keys of the screen that compares two images."""

from __future__ import annotations

from textual.binding import Binding, BindingType

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
    Binding("1", "pane('config')", "Configuration", id="compare.config"),
    Binding("2", "pane('pairs')", "Layers", id="compare.layers"),
    Binding("3", "pane('files')", "Files", id="compare.files"),
    Binding("tab", "next_pane(1)", "Pane", tooltip="Next pane", id="compare.next_pane"),
    Binding("shift+tab", "next_pane(-1)", "Previous pane", id="compare.previous_pane"),
    Binding("z", "zoom", "Zoom", tooltip="Give a pane the whole screen", id="compare.zoom"),
    Binding("d", "diff", "Diff", tooltip="Show what differs in the path", id="compare.diff"),
    Binding(
        "slash",
        "filter",
        "Filter",
        key_display="/",
        tooltip="Filter by name; in paths, * and ? are wildcards",
        id="compare.filter",
    ),
    Binding("n", "next_match(1)", "Next match", id="compare.next_match"),
    Binding("N", "next_match(-1)", "Previous match", id="compare.previous_match"),
    Binding("a", "show_kind('added')", "Show or hide added", id="compare.added"),
    Binding("r", "show_kind('removed')", "Show or hide removed", id="compare.removed"),
    Binding("m", "show_kind('modified')", "Show or hide modified", id="compare.modified"),
    Binding("u", "show_kind('unchanged')", "Show or hide unchanged", id="compare.unchanged"),
    Binding("s", "sort", "Sort", tooltip="Sort by the next column", id="compare.sort"),
    Binding("S", "reverse", "Reverse", tooltip="Reverse the order", id="compare.reverse"),
    Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop reading", id="compare.cancel"),
    Binding("escape,q", "back", "Back", key_display="esc", id="compare.back"),
]
