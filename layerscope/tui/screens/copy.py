"""The second key of copying: a line for each thing that can be copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from layerscope.text import visible
from layerscope.tui.copies import Copy
from layerscope.tui.format import Line, cut, left
from layerscope.tui.widgets.key_bar import key_of
from layerscope.tui.widgets.row_view import RowView


class _Rows(RowView, can_focus=False):
    HAS_CURSOR = False

    def __init__(self, copies: Sequence[Copy]) -> None:
        super().__init__("copy-rows")
        self._copies = copies

    def on_mount(self) -> None:
        """Shows the rows."""
        self.set_texts("Copy", "esc goes back")
        self.set_rows(len(self._copies))

    def on_click(self, event: events.Click) -> None:
        """A click on a line presses its key."""
        offset = event.get_content_offset(self)
        screen = self.screen
        if offset is not None and isinstance(screen, CopyScreen):
            row = offset.y + self.top
            if row < len(self._copies):
                screen.action_take(self._copies[row].name)

    def row(self, row: int, width: int) -> Line:
        """A key, what it copies, and the beginning of that."""
        each = self._copies[row]
        colors = self.ink
        key = left(key_of(self, f"copy.{each.name}"), 3)
        room = max(0, width - 25)
        if each.problem:
            text = left(f" {key} {each.label}", 24)
            return [(text, colors.faint), (cut(each.problem, room), colors.faint)]
        shown = cut(visible(each.text[:1000]), room)
        return [
            (f" {key} ", colors.accent),
            (left(each.label, 19), colors.text),
            (shown, colors.muted),
        ]


class CopyScreen(ModalScreen[Copy | None], inherit_bindings=False):
    """Asks what to copy; gives it."""

    CSS_PATH = "copy.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "take('path')", "Copy the path", id="copy.path"),
        Binding("r", "take('reference')", "Copy the image reference", id="copy.reference"),
        Binding("i", "take('image')", "Copy the image id", id="copy.image"),
        Binding("l", "take('diff_id')", "Copy the layer's diff id", id="copy.diff_id"),
        Binding("d", "take('digest')", "Copy the layer's digest", id="copy.digest"),
        Binding("c", "take('instruction')", "Copy the instruction", id="copy.instruction"),
        Binding("y", "take('row')", "Copy the row as text", id="copy.row"),
        Binding("escape,q", "dismiss(None)", "Back", id="copy.back"),
    ]

    def __init__(self, copies: Sequence[Copy]) -> None:
        """Makes the list.

        Args:
            copies: What there is to copy, and what there is not.
        """
        super().__init__()
        self._copies = {each.name: each for each in copies}
        self._rows = _Rows(copies)

    def compose(self) -> ComposeResult:
        """The list, at the bottom."""
        yield self._rows

    def action_take(self, name: str) -> None:
        """Gives one of them; where there is none, the list says so already."""
        if not self._copies[name].problem:
            self.dismiss(self._copies[name])
