"""The keys from the main screen to other rooms, for any row."""

from __future__ import annotations

from layerscope.tui.keys.key import Key

ROOM_KEYS = (
    Key(
        "main.packages",
        "P",
        "visit('packages')",
        "Packages",
        "Show packages of the layer, setuid files, capabilities",
    ),
    Key(
        "main.drop",
        "K",
        "visit('drop')",
        "Drop…",
        "Make an image without the path in this layer, after a preview",
    ),
    Key("main.search", "F", "visit('search')", "Search registries…"),
    Key("main.drift", "B", "visit('drift')", "Newer images", "Check for newer images"),
    Key("main.find", "f", "visit('find')", "Find…", "Find a file in all images of the engine"),
    Key(
        "main.edit",
        "e",
        "visit('editor')",
        "Edit",
        "Edit the Dockerfile of the image or of this folder",
    ),
    Key("main.build", "b", "visit('build')", "Build…", "Build an image"),
    Key(
        "main.engines",
        "O",
        "visit('engines')",
        "Engines",
        "Show all engines, and use another one",
        hint="images containers",
    ),
    Key(
        "main.fleet",
        "H",
        "visit('fleet')",
        "All engines",
        "Show the images of all engines: which has which",
    ),
)
