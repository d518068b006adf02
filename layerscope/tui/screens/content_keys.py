"""The keys of the screen that shows a file."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from layerscope.tui.screens.pane_keys import match_bindings

#: What its key bar shows, most important first.
HINTS = {
    "content": (
        "view.cancel",
        "view.follow",
        "view.find",
        "view.next_match view.previous_match=Match",
        "view.hex",
        "view.wrap",
        "view.numbers",
        "view.older view.newer=Version",
        "view.go",
        "view.save",
        "view.pager",
        "view.editor",
    ),
    "end": ("view.back", "app.help"),
}

BINDINGS: list[BindingType] = [
    Binding("escape,q", "back", "Back", key_display="esc", id="view.back"),
    Binding(
        "slash",
        "find",
        "Find",
        key_display="/",
        tooltip="Find text; in hexadecimal, also bytes such as 7f 45",
        id="view.find",
    ),
    *match_bindings("view"),
    Binding("x", "hex", "Hex", tooltip="Show bytes in hexadecimal, or text", id="view.hex"),
    Binding("w", "wrap", "Wrap", tooltip="Wrap long lines, or not", id="view.wrap"),
    Binding("L,number_sign", "numbers", "Numbers", tooltip="Number lines", id="view.numbers"),
    Binding(
        "colon",
        "go",
        "Go to",
        key_display=":",
        tooltip="Go to a line, an offset such as 0x1f0, or 50%",
        id="view.go",
    ),
    Binding(
        "left_square_bracket",
        "version(-1)",
        "Older",
        key_display="[",
        tooltip="Show the version before this one",
        id="view.older",
    ),
    Binding(
        "right_square_bracket",
        "version(1)",
        "Newer",
        key_display="]",
        tooltip="Show the version after this one",
        id="view.newer",
    ),
    Binding("enter", "follow", "Follow", tooltip="Follow a symbolic link", id="view.follow"),
    Binding("s", "save", "Save…", tooltip="Write the content to a file", id="view.save"),
    Binding("p", "pager", "Pager", tooltip="Show a copy in $PAGER", id="view.pager"),
    Binding("e", "editor", "Editor", tooltip="Show a copy in $EDITOR", id="view.editor"),
    Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop reading or finding", id="view.cancel"),
]
