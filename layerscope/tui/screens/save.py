"""Asks where to save what is too large for the clipboard."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from layerscope.text import docker_size, visible
from layerscope.tui.widgets.text_entry import TextEntry


class SaveScreen(ModalScreen[str | None], inherit_bindings=False):
    """Writes bytes to a new file; gives a sentence that says so."""

    CSS_PATH = "message.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="save.back"),
    ]

    def __init__(self, data: bytes, what: str) -> None:
        """Makes the question.

        Args:
            data: What to save.
            what: What it is, in words.
        """
        super().__init__()
        self._data = data
        self._what = what

    def compose(self) -> ComposeResult:
        """The question."""
        title = f"Save the {self._what} to a new file"
        text = f"With {docker_size(len(self._data))} it is more than terminals take."
        with Vertical(id="message"):
            yield Static(Content(title), id="message-title")
            yield Static(Content(text), id="message-text")
            yield TextEntry(id="open-source", value="layerscope-copy.txt")
            yield Static(Content(""), id="message-hint")
            yield Static(Content("enter saves, esc goes back"), id="message-keys")

    def on_mount(self) -> None:
        """Ready to type."""
        self.set_focus(self.query_one(Input))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Saves it, never over a file that is there."""
        event.stop()
        name = event.value.strip()
        if not name:
            return
        try:
            with Path(name).expanduser().open("xb") as file:
                file.write(self._data)
        except FileExistsError:
            self._tell(f"{visible(name)} is there already; choose another name.")
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            self._tell(f"{visible(name)} cannot be written: {visible(str(reason))}.")
        else:
            self.dismiss(f"Saved the {self._what} to {visible(name)}.")

    def _tell(self, text: str) -> None:
        self.query_one("#message-hint", Static).update(Content(text))
