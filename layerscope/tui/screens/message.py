"""A calm page that says what happened and what to do."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class MessageScreen(ModalScreen[None], inherit_bindings=False):
    """A message, until the user goes back."""

    CSS_PATH = "message.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Back", id="message.back"),
    ]

    def __init__(self, title: str, message: str, hint: str) -> None:
        """Makes the page.

        Args:
            title: What did not work; safe to show.
            message: What happened.
            hint: What to do; may be empty.
        """
        super().__init__()
        self._texts = (title, message, hint)

    def compose(self) -> ComposeResult:
        """The texts."""
        title, message, hint = self._texts
        with Vertical(id="message"):
            yield Static(Content(title), id="message-title")
            yield Static(Content(message), id="message-text")
            if hint:
                yield Static(Content(hint), id="message-hint")
            yield Static(Content("esc goes back"), id="message-keys")
