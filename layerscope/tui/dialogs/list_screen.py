"""The base of screens with one list, which can be filtered and sorted, and facts below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.widget import Widget

from layerscope.tui.base_screen import AppScreen
from layerscope.tui.dialogs.filter_bar import FilterBar
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.rows.filtered import FilteredList
from layerscope.tui.rows.row_view import RowView


def list_keys(scope: str) -> tuple[Key, ...]:
    """Returns the keys of such a screen; `scope` names both the screen and its list."""

    def empty(self: ListScreen) -> str:
        return "" if self.list.total else "The list is empty."

    return (
        Key(f"{scope}.filter", "slash", "filter", "Filter", "Filter the list", empty, scope),
        *common.sort_keys(scope, empty, scope),
        common.copy_key(scope),
        *common.pane_keys(scope),
        common.back_key(scope, "escape,q", "Clear the filter, or go back"),
    )


class ListScreen(AppScreen[None]):
    CSS_PATH: ClassVar[list[str | PurePath]] = [Path(__file__).with_name("list_screen.tcss")]

    def __init__(self, rows: FilteredList[Any]) -> None:
        super().__init__()
        self.list = rows
        self.facts = Facts(f"{rows.id}-facts")
        self.filter_bar = FilterBar(self.keys, lambda: self.list)
        self.bottom_line.append(self.filter_bar)

    def row_facts(self) -> Sequence[Fact]:
        """Returns facts about the row under the cursor."""
        raise NotImplementedError

    @property
    def panes(self) -> Sequence[Widget]:
        return (self.list, self.facts)

    def body(self) -> ComposeResult:
        yield from self.panes

    def show_facts(self) -> None:
        self.facts.show(self.row_facts())
        self.refresh_bindings()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        super().on_row_view_moved(message)
        self.facts.show(self.row_facts())

    def action_filter(self) -> None:
        self.filter_bar.open(self.list.needle, "Part of a row")

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        self._filter(message.text)

    def _filter(self, text: str) -> None:
        self.list.filter(text)
        self.show_facts()

    def action_sort(self) -> None:
        self.list.cycle_sort()

    def action_reverse(self) -> None:
        self.list.reverse_sort()

    def action_back(self) -> None:
        """Clears the filter, or leaves."""
        if self.list.needle:
            self._filter("")
        else:
            super().action_back()
