"""The keys of the editor, and which of them the key bar shows."""

from __future__ import annotations

from textual.binding import Binding, BindingType

#: What the key bar shows.
HINTS = {
    "text": (
        "editor.save",
        "editor.build",
        "editor.help",
        "editor.complete",
        "editor.next_problem",
        "editor.layer",
        "editor.find",
        "editor.format",
    ),
    "problems": ("problems.go", "editor.text"),
    "end": ("editor.back",),
}

BINDINGS: list[BindingType] = [
    Binding("ctrl+s", "save", "Save", id="editor.save"),
    Binding("f2", "save_as", "Save as…", id="editor.save_as"),
    Binding("ctrl+b", "build", "Build…", tooltip="Save, and ask what to build", id="editor.build"),
    Binding(
        "f5",
        "build_again",
        "Build again",
        tooltip="Save, and build with the settings of the last build",
        id="editor.build_again",
    ),
    Binding("f1,ctrl+g", "help", "Help", tooltip="Help on the instruction", id="editor.help"),
    Binding(
        "ctrl+n", "complete", "Complete", tooltip="What could stand here", id="editor.complete"
    ),
    Binding("f8", "problem(1)", "Problem", tooltip="Next problem", id="editor.next_problem"),
    Binding("shift+f8,f7", "problem(-1)", "Previous problem", id="editor.previous_problem"),
    Binding(
        "f6", "problems", "Problems", tooltip="Go to the list of problems", id="editor.problems"
    ),
    Binding(
        "ctrl+t",
        "format",
        "Format",
        tooltip="Keywords in upper case, one way to indent",
        id="editor.format",
    ),
    Binding(
        "ctrl+f",
        "find",
        "Find",
        tooltip="Find text; :12 goes to line 12",
        id="editor.find",
    ),
    Binding("f3", "next_match(1)", "Next match", id="editor.next_match"),
    Binding("shift+f3", "next_match(-1)", "Previous match", id="editor.previous_match"),
    Binding("ctrl+r,alt+g", "go", "Go to line", id="editor.go"),
    Binding(
        "ctrl+e", "editor", "$EDITOR", tooltip="Edit it in $EDITOR instead", id="editor.editor"
    ),
    Binding(
        "ctrl+l",
        "layer",
        "Layer",
        tooltip="Go to the layer that the instruction made",
        id="editor.layer",
    ),
    Binding(
        "f4",
        "reverse",
        "From history",
        tooltip="A Dockerfile made from the history of the image that is open",
        id="editor.reverse",
    ),
    Binding("ctrl+q", "quit", "Quit", tooltip="Quit the program", id="editor.quit"),
    Binding("escape", "back", "Back", key_display="esc", id="editor.back"),
]
