"""Screens that show what a new image adds or changes before it is created."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from textual.widget import Widget

from layerscope.filesystem.change import Change
from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.prompt import PromptScreen
from layerscope.tui.rows.columns import Column, ColumnList
from layerscope.tui.rows.facts import Facts
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.work import Problem, Task

U = TypeVar("U")
_STYLES = {Change.ADDED: "added", Change.MODIFIED: "modified", Change.REMOVED: "removed"}


class Changed(Protocol):
    @property
    def change(self) -> Change: ...

    @property
    def path(self) -> bytes: ...


T = TypeVar("T", bound=Changed)


def change_column() -> Column[Any]:
    return Column(
        "change",
        "",
        1,
        lambda each: (each.change.letter, _STYLES.get(each.change, "text")),
        sort=lambda each: each.change,
    )


class ChangedPaths(ColumnList[T]):
    NAME = "path"

    def same(self, one: T, other: T) -> bool:
        return one.path == other.path


class NewImageScreen(PromptScreen):
    """Paths and facts, and a key that creates the image: `action_make`."""

    def __init__(self, place: Place, paths: ChangedPaths[Any], facts: Facts) -> None:
        super().__init__()
        self._from = place
        self._list = paths
        self._facts = facts

    @property
    def panes(self) -> Sequence[Widget]:
        return (self._list, self._facts)

    def look(self, run: Callable[[Task[None]], U], show: Callable[[U], object]) -> None:
        """Computes in the background what to show."""
        self.go(self._list)
        self.work.start("look", run, show, failed=self._not_seen)

    def _not_seen(self, problem: Problem) -> None:
        if not problem.cancelled:
            self._list.set_placeholder((problem.message, "warning"), (problem.hint, "text"))

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        self.action_make()

    def action_make(self) -> None:
        raise NotImplementedError
