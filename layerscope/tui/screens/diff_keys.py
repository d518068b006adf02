"""The keys of the screens that show what differs."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from layerscope.tui.screens.pane_keys import match_bindings, pane_bindings

#: What their key bars show, most important first.
HINTS = {
    "versions": (
        "diff.cancel",
        "versions.mark",
        "versions.diff",
        "diff.content",
        "diff.side",
        "diff.whole",
        "diff.next diff.previous=Change",
    ),
    "diff": (
        "diff.cancel",
        "diff.next diff.previous=Change",
        "diff.side",
        "diff.whole",
        "diff.wrap",
        "diff.find",
        "diff.next_match diff.previous_match=Match",
        "diff.older diff.newer=Version",
        "diff.zoom",
    ),
    "": ("diff.back",),
    "end": ("app.help",),
}

BINDINGS: list[BindingType] = [
    Binding("escape,q", "back", "Back", key_display="esc", id="diff.back"),
    Binding(
        "slash",
        "find",
        "Find",
        key_display="/",
        tooltip="Find text in the lines that are shown",
        id="diff.find",
    ),
    *match_bindings("diff"),
    Binding(
        "x",
        "side",
        "Side by side",
        tooltip="Show both texts side by side, or one below the other",
        id="diff.side",
    ),
    Binding(
        "f",
        "whole",
        "All lines",
        tooltip="Show all lines, or those around what differs",
        id="diff.whole",
    ),
    Binding("w", "wrap", "Wrap", tooltip="Wrap long lines, or not", id="diff.wrap"),
    Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop reading", id="diff.cancel"),
]

VERSION_BINDINGS: list[BindingType] = [
    *pane_bindings("diff"),
    Binding(
        "left_square_bracket",
        "version(-1)",
        "Older version",
        key_display="[",
        tooltip="Compare the version below with the one below it",
        id="diff.older",
    ),
    Binding(
        "right_square_bracket",
        "version(1)",
        "Newer version",
        key_display="]",
        tooltip="Compare the version above with the one below it",
        id="diff.newer",
    ),
    Binding("v", "content", "View", tooltip="Show the whole version", id="diff.content"),
    Binding("z", "zoom", "Zoom", tooltip="Give the diff the whole screen", id="diff.zoom"),
]
