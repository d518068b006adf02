"""Asks for the name of an image or an archive."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from layerscope.tui.format import left
from layerscope.tui.path_completion import PathSuggester
from layerscope.tui.widgets.text_entry import TextEntry

#: What can be opened, by how it is named.
SOURCES = (
    ("./image.tar", "an archive of `docker save`"),
    ("debian:12", "an engine's image, by name or id"),
    ("container:NAME", "a container and what it wrote"),
    ("docker://debian:12", "a registry, without a pull"),
    ("oci:FOLDER", "an OCI image layout"),
    ("docker-root:FOLDER", "a Docker daemon's data folder"),
)


def source_lines(without_engine: bool = False) -> list[str]:
    """What can be opened, a line for each.

    Args:
        without_engine: Whether to leave out what an engine has.
    """
    return [
        f"{left(name, 19)} {what}"
        for name, what in SOURCES
        if not (without_engine and name in ("debian:12", "container:NAME"))
    ]


class OpenScreen(ModalScreen[str | None], inherit_bindings=False):
    """One line to type a source in."""

    CSS_PATH = "message.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="open.back"),
        Binding("tab", "complete", "Complete the path", id="open.complete", priority=True),
    ]

    def compose(self) -> ComposeResult:
        """The input."""
        entry = TextEntry(
            id="open-source",
            placeholder="debian:bookworm or ./image.tar",
            suggester=PathSuggester(),
        )
        with Vertical(id="message"):
            yield Static(Content("Open an image"), id="message-title")
            yield entry
            yield Static(Content("\n".join(source_lines())), id="message-hint")
            keys = "enter opens, tab completes a path, esc goes back"
            yield Static(Content(keys), id="message-keys")

    def on_mount(self) -> None:
        """Ready to type."""
        self.set_focus(self.query_one(Input))

    def action_complete(self) -> None:
        """Takes what is suggested."""
        entry = self.query_one(Input)
        entry.action_end()
        entry.action_cursor_right()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Gives what was typed to the one who asked."""
        event.stop()
        self.dismiss(event.value.strip() or None)
