"""Help, made from the bindings, so that it cannot be wrong about them."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from layerscope.tui.format import Line, left, wrap
from layerscope.tui.widgets.row_view import RowView

#: Cells of the column of keys.
_KEYS = 14
#: A heading and the keys below it: what is pressed, and what it does.
Group = tuple[str, list[tuple[str, str]]]


class _HelpRows(RowView):
    HAS_CURSOR = False

    def __init__(self, groups: list[Group]) -> None:
        super().__init__("help-rows")
        self._groups = groups
        self._rows: list[tuple[str, str]] = []
        self._made_for = 0

    def on_mount(self) -> None:
        """Shows the rows."""
        self.set_texts("Help", "esc goes back")
        self._make(70)

    def on_resize(self) -> None:
        """Wraps the texts anew."""
        self._make(self.size.width)
        super().on_resize()

    def row(self, row: int, width: int) -> Line:
        """A heading, or a key with its meaning."""
        key, text = self._rows[row]
        colors = self.ink
        if not key:
            return [(f" {text}", colors.strong)]
        return [(f"   {left(key, _KEYS)} ", colors.accent), (text, colors.text)]

    def _make(self, width: int) -> None:
        if width == self._made_for:
            return
        self._made_for = width
        # A cell is kept for the scroll bar.
        room = max(10, width - _KEYS - 5)
        rows: list[tuple[str, str]] = []
        for heading, keys in self._groups:
            rows += [("", ""), ("", heading)]
            for key, text in keys:
                first, *more = wrap(text, room)
                rows.append((key, first))
                rows += [(" ", line) for line in more]
        self._rows = rows[1:]
        self.set_rows(len(self._rows))


class HelpScreen(ModalScreen[None], inherit_bindings=False):
    """All keys."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Back", id="help.back"),
    ]

    def __init__(self, groups: list[Group]) -> None:
        """Makes the page.

        Args:
            groups: What to show.
        """
        super().__init__()
        self._groups = groups

    def compose(self) -> ComposeResult:
        """The rows."""
        yield _HelpRows(self._groups)
