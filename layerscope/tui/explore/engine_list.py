"""The base of the lists of an engine's images and containers, with a filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from layerscope.text import visible
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import ColumnList
from layerscope.tui.rows.format import plural

T = TypeVar("T")
UNANSWERED = "The engine has not answered yet."


class EngineList(ColumnList[T]):
    NOUN = ""  # The name of an item.

    def __init__(self, name: str, sorted_by: str) -> None:
        super().__init__(name, self.HEADING, sorted_by=sorted_by)
        self.needle = ""  # The filter as typed.
        self.awaited = False  # Whether the engine has not answered yet.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        reason = super().why_not(action, parameters)
        return UNANSWERED if reason and self.awaited else reason

    def await_engine(self) -> None:
        self.awaited = True
        self.set_placeholder(("Looking for an engine…", "muted"))

    def answered(self, *instead: tuple[str, str]) -> None:
        """Notes the engine's answer, with the lines and styles to show if the list is empty."""
        self.awaited = False
        self.set_placeholder(*instead)

    # What subclasses define.

    @property
    def total(self) -> int:
        """Returns the number of items, ignoring the filter."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """The item under the cursor, as a source to open, or ""."""
        raise NotImplementedError

    @property
    def listed(self) -> int:
        """Returns the number of items that match the filter."""
        raise NotImplementedError

    def matching(self, needle: str) -> Sequence[T]:
        """Returns the rows that contain a lower-case text."""
        raise NotImplementedError

    @property
    def count_text(self) -> str:
        """Returns the number of items, in words."""
        number = plural(self.total, self.NOUN) if self.total else ""
        return number if self.listed == self.total else f"{self.listed} of {number}"

    # The filter.

    def filter(self, needle: str) -> None:
        """Shows only items that contain a text."""
        self.needle = needle.strip()
        self.update()

    def update(self) -> None:
        self.show(self.matching(self.needle.lower()))
        self.show_count()

    def show_count(self) -> None:
        self.set_status(self.count_text, f"/{visible(self.needle)}" if self.needle else "")
        if self.total and not self.items:
            what = f"No {self.NOUN} matches {visible(self.needle)}."
            hint = f"{key_of(self, 'main.back')} clears the filter."
            self.set_placeholder((what, "text"), (hint, "muted"))
