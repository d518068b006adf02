"""The keys of the main screen, and which of them the key bar shows."""

from __future__ import annotations

from textual.binding import Binding, BindingType

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
    Binding("1", "pane('images')", "Images", tooltip="Go to the images", id="main.images"),
    Binding("2", "pane('layers')", "Layers", tooltip="Go to the layers", id="main.layers"),
    Binding("3", "pane('files')", "Files", tooltip="Go to the files", id="main.files"),
    Binding("4", "pane('details')", "Details", tooltip="Go to the details", id="main.details"),
    Binding("tab", "next_pane(1)", "Pane", tooltip="Next pane", id="main.next_pane"),
    Binding("shift+tab", "next_pane(-1)", "Previous pane", id="main.previous_pane"),
    Binding("z", "zoom", "Zoom", tooltip="Give a pane the whole screen", id="main.zoom"),
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
        tooltip="Filter by name; in paths, * and ? are wildcards",
        id="main.filter",
    ),
    Binding("n", "next_match(1)", "Next match", id="main.next_match"),
    Binding("N", "next_match(-1)", "Previous match", id="main.previous_match"),
    Binding("a", "show_kind('added')", "Show or hide added", id="main.added"),
    Binding("r", "show_kind('removed')", "Show or hide removed", id="main.removed"),
    Binding("m", "show_kind('modified')", "Show or hide modified", id="main.modified"),
    Binding("u", "show_kind('unchanged')", "Show or hide unchanged", id="main.unchanged"),
    Binding("s", "sort", "Sort", tooltip="Sort by the next column", id="main.sort"),
    Binding("S", "reverse", "Reverse", tooltip="Reverse the order", id="main.reverse"),
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
    Binding("y", "copy", "Copy", tooltip="Copy a path, an id, a digest, a row", id="main.copy"),
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
