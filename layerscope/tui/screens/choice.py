"""Asks which of several images is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from layerscope.text import visible


class ChoiceScreen(ModalScreen[str | None], inherit_bindings=False):
    """A list of sources; gives the one that is chosen."""

    CSS_PATH = "message.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Back", id="choice.back"),
        Binding("j", "down", "Down", id="choice.down", show=False),
        Binding("k", "up", "Up", id="choice.up", show=False),
    ]

    def __init__(self, title: str, sources: Sequence[str]) -> None:
        """Makes the list.

        Args:
            title: What there is to choose from; safe to show.
            sources: The sources.
        """
        super().__init__()
        self._title_text = title
        self._sources = sources

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(id="message"):
            yield Static(Content(self._title_text), id="message-title")
            yield OptionList(
                *(Option(Content(visible(source))) for source in self._sources), id="choices"
            )
            yield Static(Content("enter opens, esc goes back"), id="message-keys")

    def on_mount(self) -> None:
        """Ready to choose."""
        self.set_focus(self.query_one(OptionList))

    def action_down(self) -> None:
        """Goes to the next one."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """Goes to the one before."""
        self.query_one(OptionList).action_cursor_up()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Gives what was chosen to the one who asked."""
        event.stop()
        self.dismiss(self._sources[event.option_index])
