"""A list of what an engine has, which can be filtered."""

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
    NOUN = ""  # What an item is called.

    def __init__(self, name: str, sorted_by: str) -> None:
        super().__init__(name, self.HEADING, sorted_by=sorted_by)
        self.needle = ""  # The filter as it was typed.
        self.awaited = False  # Whether the engine has yet to say what there is.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        reason = super().why_not(action, parameters)
        return UNANSWERED if reason and self.awaited else reason

    def await_engine(self) -> None:
        self.awaited = True
        self.set_placeholder(("Looking for an engine…", "muted"))

    def answered(self, *instead: tuple[str, str]) -> None:
        """Sets what to show if there is nothing, as lines and their styles."""
        self.awaited = False
        self.set_placeholder(*instead)

    # What subclasses define.

    @property
    def total(self) -> int:
        """How many there are, whatever the filter."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """What is under the cursor, as a source to open; empty without a row."""
        raise NotImplementedError

    @property
    def listed(self) -> int:
        """How many of them match the filter."""
        raise NotImplementedError

    def matching(self, needle: str) -> Sequence[T]:
        """The rows that contain a text in lower case."""
        raise NotImplementedError

    @property
    def count_text(self) -> str:
        """How many there are, in words."""
        number = plural(self.total, self.NOUN) if self.total else ""
        return number if self.listed == self.total else f"{self.listed} of {number}"

    # The filter.

    def filter(self, needle: str) -> None:
        """Shows only what contains a text."""
        self.needle = needle.strip()
        self.update()

    def update(self) -> None:
        """Shows what is known now."""
        self.show(self.matching(self.needle.lower()))
        self.show_count()

    def show_count(self) -> None:
        self.set_status(self.count_text, f"/{visible(self.needle)}" if self.needle else "")
        if self.total and not self.items:
            what = f"No {self.NOUN} matches {visible(self.needle)}."
            hint = f"{key_of(self, 'main.back')} clears the filter."
            self.set_placeholder((what, "text"), (hint, "muted"))
