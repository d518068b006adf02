"""Help, made from the bindings, so that it cannot be wrong about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from layerscope.tui.format import Line, cut, left
from layerscope.tui.widgets.row_view import RowView

#: A heading and the keys below it: what is pressed, and what it does.
Group = tuple[str, list[tuple[str, str]]]


class _HelpRows(RowView):
    HAS_CURSOR = False

    def __init__(self, groups: list[Group]) -> None:
        super().__init__("help-rows")
        self._rows: list[tuple[str, str]] = []
        for heading, keys in groups:
            self._rows += [("", heading), *keys, ("", "")]
        self._rows.pop()

    def on_mount(self) -> None:
        """Shows the rows."""
        self.set_texts("Help", "esc goes back")
        self.set_rows(len(self._rows))

    def row(self, row: int, width: int) -> Line:
        """A heading, or a key with its meaning."""
        key, text = self._rows[row]
        colors = self.ink
        if not key:
            return [(f" {text}", colors.strong)]
        return [(f"   {left(key, 14)} ", colors.accent), (cut(text, width - 18), colors.text)]


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


def group(heading: str, bindings: list[BindingType], display: Callable[[Binding], str]) -> Group:
    """A group of keys.

    Args:
        heading: Its heading.
        bindings: The bindings, in the order in which they are shown.
        display: A function from a binding to the text of its key.
    """
    rows: dict[str, tuple[list[str], str]] = {}
    for binding in Binding.make_bindings(bindings):
        keys, _ = rows.setdefault(
            binding.id or binding.action, ([], binding.tooltip or binding.description)
        )
        keys.append(display(binding))
    return heading, [(" ".join(keys), text) for keys, text in rows.values()]
