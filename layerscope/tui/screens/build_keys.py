"""The keys of the screen of a build, and which of them the key bar shows."""

from __future__ import annotations

from textual.binding import Binding, BindingType

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
    "log": ("build.cancel", "build.search", "build.next_match build.previous_match=Match"),
    "files": ("build.cancel", "files.toggle"),
    "": ("build.whole", "build.next_pane", "build.zoom", "build.back"),
    "end": ("app.help", "app.quit"),
}

BINDINGS: list[BindingType] = [
    Binding("1", "pane('steps')", "Steps", id="build.steps"),
    Binding("2", "pane('log')", "Log", id="build.log"),
    Binding("3", "pane('files')", "Files", id="build.files"),
    Binding("tab", "next_pane(1)", "Pane", tooltip="Next pane", id="build.next_pane"),
    Binding("shift+tab", "next_pane(-1)", "Previous pane", id="build.previous_pane"),
    Binding("z", "zoom", "Zoom", tooltip="Give a pane the whole screen", id="build.zoom"),
    Binding("slash", "search", "Search", key_display="/", id="build.search"),
    Binding("n", "next_match(1)", "Next match", id="build.next_match"),
    Binding("N", "next_match(-1)", "Previous match", id="build.previous_match"),
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
    Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop the build", id="build.cancel"),
    Binding(
        "escape",
        "back",
        "Back",
        key_display="esc",
        tooltip="The build goes on",
        id="build.back",
    ),
]
