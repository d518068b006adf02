"""Asks for the name of an image or an archive."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from layerscope.tui.widgets.text_entry import TextEntry

_HELP = "docker-archive:PATH, a path, NAME[:TAG], or an id"


class OpenScreen(ModalScreen[str | None], inherit_bindings=False):
    """One line to type a source in."""

    CSS_PATH = "message.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="open.back"),
    ]

    def compose(self) -> ComposeResult:
        """The input."""
        entry = TextEntry(id="open-source", placeholder="debian:bookworm or ./image.tar")
        with Vertical(id="message"):
            yield Static(Content("Open an image"), id="message-title")
            yield entry
            yield Static(Content(_HELP), id="message-hint")
            yield Static(Content("enter opens, esc goes back"), id="message-keys")

    def on_mount(self) -> None:
        """Ready to type."""
        self.set_focus(self.query_one(Input))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Gives what was typed to the one who asked."""
        event.stop()
        self.dismiss(event.value.strip() or None)
