"""A list with a filter on the text of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from layerscope.tui.rows.columns import ColumnList
from layerscope.tui.rows.format import plural

T = TypeVar("T")


class FilteredList(ColumnList[T]):
    NOUN: ClassVar[tuple[str, str]] = ("row", "rows")  # Singular and plural.

    def __init__(self, name: str, title: str = "", sorted_by: str = "") -> None:
        super().__init__(name, title, sorted_by)
        self.needle = ""  # The filter as typed.
        self.total: Sequence[T] = ()  # All items, ignoring the filter.
        self.note = ""  # Text after the number of items; safe to show.

    def fill(self, items: Sequence[T], note: str = "", cursor: int | None = None) -> None:
        """Shows the items that match the filter."""
        self.total, self.note = items, note
        self._update(cursor)

    def filter(self, needle: str) -> None:
        """Shows only items that contain a text in any column, visible or not."""
        self.needle = needle.strip()
        self._update()

    def words(self, item: T) -> str:
        """Returns the text that the filter searches."""
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
