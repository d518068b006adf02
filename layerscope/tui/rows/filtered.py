"""A list that is filtered by what its columns say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from layerscope.tui.rows.columns import ColumnList
from layerscope.tui.rows.format import plural

T = TypeVar("T")


class FilteredList(ColumnList[T]):
    NOUN: ClassVar[tuple[str, str]] = ("row", "rows")  # What an item is called, and several.

    def __init__(self, name: str, title: str = "", sorted_by: str = "") -> None:
        super().__init__(name, title, sorted_by)
        self.needle = ""  # The filter as it was typed.
        self.total: Sequence[T] = ()  # All items, whatever the filter.
        self.note = ""  # What follows the number of items, safe to show.

    def fill(self, items: Sequence[T], note: str = "", cursor: int | None = None) -> None:
        """Shows items, as far as they match the filter."""
        self.total, self.note = items, note
        self._update(cursor)

    def filter(self, needle: str) -> None:
        """Shows only what contains a text, in any column that the list may have."""
        self.needle = needle.strip()
        self._update()

    def words(self, item: T) -> str:
        """What an item is found by."""
        return " ".join(column.cell(item)[0] for column in self.COLUMNS)

    def _update(self, cursor: int | None = None) -> None:
        needle = self.needle.lower()
        found = [each for each in self.total if needle in self.words(each).lower()]
        self.show(found, cursor)
        number = plural(len(self.total), *self.NOUN) if self.total else ""
        if len(found) < len(self.total):
            number = f"{len(found)} of {number}"
            if not found:
                self.set_placeholder((f"No {self.NOUN[0]} matches {self.needle}.", "text"))
        parts = filter(None, (number, self.note))
        self.set_status(", ".join(parts), f"/{self.needle}" if self.needle else "")
