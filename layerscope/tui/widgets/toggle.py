"""Something that is on or off."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static


class Toggle(Static, can_focus=True):
    """A box and what it stands for.

    Attributes:
        on: Whether it is on.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "turn", "On or off", tooltip="Turn on or off", id="build_form.toggle"),
    ]

    class Changed(Message):
        """It was turned on or off."""

    def __init__(self, name: str, label: str) -> None:
        super().__init__(id=name)
        self.on = False
        self._label = label
        self._draw()

    def _draw(self) -> None:
        self.update(Content(f"[{'x' if self.on else ' '}] {self._label}"))

    def action_turn(self) -> None:
        """Turns it on or off."""
        self.on = not self.on
        self._draw()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        """A click does as well."""
        self.action_turn()
