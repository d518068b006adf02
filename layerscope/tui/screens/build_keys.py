"""The keys of the screen of a build, and which of them the key bar shows."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from layerscope.tui.screens.pane_keys import match_bindings, pane_bindings, zoom_binding

#: What the key bar shows in each pane.
HINTS = {
    "steps": (
        "build.cancel",
        "steps.look",
        "build.image",
        "build.again",
        "build.edit",
        "build.shell",
    ),
    "log": (
        "build.cancel",
        "build.search",
        "build.next_match build.previous_match=Match",
        "build.image",
        "build.again",
    ),
    "files": ("build.cancel", "files.toggle", "build.content", "build.versions"),
    "": ("build.whole", "build.next_pane", "build.zoom", "build.back"),
    "end": ("app.help", "app.quit"),
}

BINDINGS: list[BindingType] = [
    *pane_bindings("build", {"steps": "Steps", "log": "Log", "files": "Files"}),
    zoom_binding("build"),
    Binding("slash", "search", "Search", key_display="/", id="build.search"),
    *match_bindings("build"),
    Binding("w", "whole", "Whole log", tooltip="The log of one step, or of all", id="build.whole"),
    Binding("i", "image", "Image", tooltip="Open the image that was built", id="build.image"),
    Binding("b", "again", "Build again", id="build.again"),
    Binding("x", "shell", "Shell", tooltip="A shell in the last good layer", id="build.shell"),
    Binding(
        "e",
        "edit",
        "Edit",
        tooltip="Edit the Dockerfile, at the line of the step",
        id="build.edit",
    ),
    Binding("v", "lead('content')", "View", tooltip="Show the file", id="build.content"),
    Binding(
        "d",
        "lead('versions')",
        "Versions",
        tooltip="Show and compare the versions of the path",
        id="build.versions",
    ),
    Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop the build", id="build.cancel"),
    Binding(
        "escape",
        "back",
        "Back",
        key_display="esc",
        tooltip="Leave; the build goes on",
        id="build.back",
    ),
]
