"""The keys of the main screen, and which of them the key bar shows."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from layerscope.tui.screens.pane_keys import (
    match_bindings,
    pane_bindings,
    tree_bindings,
    zoom_binding,
)

#: What the key bar shows in each pane.
HINTS = {
    "images": (
        "images.open",
        "images.mark",
        "images.remove",
        "main.open",
        "main.compare",
        "main.filter",
        "main.sort main.reverse=Sort",
    ),
    "layers": (
        "main.cancel",
        "layers.files",
        "main.union",
        "main.waste",
        "main.filter",
        "main.platform",
        "main.zoom",
    ),
    "files": (
        "main.cancel",
        "files.toggle",
        "main.content",
        "main.versions",
        "main.filter",
        "main.next_match main.previous_match=Match",
        "main.union",
        "main.added main.removed main.modified main.unchanged=Kinds",
        "main.sort main.reverse=Sort",
        "main.zoom",
    ),
    "details": ("main.cancel", "main.waste", "main.platform", "main.zoom"),
    "": ("main.back", "main.next_pane", "main.copy", "app.palette"),
    "end": ("app.help", "app.quit"),
}

BINDINGS: list[BindingType] = [
    *pane_bindings(
        "main",
        {"images": "Images", "layers": "Layers", "files": "Files", "details": "Details"},
    ),
    zoom_binding("main"),
    Binding(
        "t",
        "toggle_union",
        "Union",
        tooltip="Show one layer, or the union of it and all below",
        id="main.union",
    ),
    Binding(
        # As in lazygit, and as in dive.
        "slash,ctrl+f",
        "filter",
        "Filter",
        tooltip="Filter by name, by path with * and ?, or by re:…",
        id="main.filter",
    ),
    *match_bindings("main"),
    *tree_bindings("main"),
    Binding(
        "o",
        "open",
        "Open other…",
        tooltip="Open an archive, or any image by name",
        id="main.open",
    ),
    Binding(
        "p",
        "platform",
        "Platform…",
        tooltip="Show the image for another platform",
        id="main.platform",
    ),
    Binding(
        "d",
        "lead('versions')",
        "Versions",
        tooltip="Show and compare the versions of the path",
        id="main.versions",
    ),
    Binding(
        "c",
        "lead('compare')",
        "Compare…",
        tooltip="Compare the image with another one",
        id="main.compare",
    ),
    Binding(
        "w",
        "lead('waste')",
        "Waste",
        tooltip="What could be saved, why, and how",
        id="main.waste",
    ),
    Binding(
        "P",
        "lead('packages')",
        "Packages",
        tooltip="Packages of the layer, setuid files, capabilities",
        id="main.packages",
    ),
    Binding(
        "f",
        "lead('find')",
        "Find…",
        tooltip="Find a file in all images of the engine",
        id="main.find",
    ),
    Binding("y", "copy", "Copy", tooltip="Copy a path, an id, a digest, a row", id="main.copy"),
    Binding(
        "e",
        "lead('editor')",
        "Edit",
        tooltip="Edit the Dockerfile of the image or of this folder",
        id="main.edit",
    ),
    Binding("R", "reload", "Reload images", id="main.reload"),
    Binding("b", "build", "Build…", tooltip="Build an image", id="main.build"),
    Binding("J", "jobs", "Jobs", tooltip="Builds that run or ran", id="main.jobs"),
    Binding(
        "v",
        "lead('content')",
        "View",
        tooltip="Show the content of the file",
        id="main.content",
    ),
    Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop reading the image", id="main.cancel"),
    Binding(
        "escape",
        "back",
        "Back",
        key_display="esc",
        tooltip="Clear the filter, end the zoom, or go back",
        id="main.back",
    ),
]
