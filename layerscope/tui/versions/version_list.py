"""The list of a path's versions, the newest at the top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual.message import Message

from layerscope.filesystem.change import Change
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, ColumnList


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version, as texts that are safe to show."""

    layer: int
    change: Change
    instruction: str
    created: str  # When the layer was created.
    what: str  # How the version differs from the one below.
    size: str = ""  # "" if it has none.
    mode: str = ""  # As in `ls -l`.
    owner: str = ""  # User and group.
    modified: str = ""  # Its modification time, in UTC.
    hidden: str = ""  # The layer that hid it, or "".

    @property
    def style(self) -> str:
        return self.change.label if self.change else "text"


def _muted(field: Callable[[VersionRow], str]) -> Callable[[VersionRow], Cell]:
    return lambda version: (field(version), "muted")


class VersionList(ColumnList[VersionRow], screen="diff", heading="Versions and differences"):
    def _only_one(self) -> str:
        return "This path has only one version." if self.row_count < 2 else ""

    KEYS = (
        Key(
            "versions.mark",
            "space",
            "mark",
            "Mark",
            "Mark a version, to compare it with another one",
            _only_one,
            "versions",
        ),
        Key("versions.diff", "enter", "choose", "Diff", "Go to the diff", hint="versions"),
    )
    MARK_WIDTH = 3
    GAP = 1
    NAME = "instruction"
    COLUMNS: ClassVar[tuple[Column[VersionRow], ...]] = (
        Column("layer", "#", 3, lambda v: (str(v.layer), "strong"), "right", kept=True),
        Column("change", "", 1, lambda v: (v.change.letter.strip() or "=", v.style)),
        Column("size", "Size", 7, lambda v: (v.size, "text"), "right", kept=True),
        Column("mode", "Mode", 10, _muted(lambda v: v.mode), from_width=96),
        Column(
            "owner",
            "Owner",
            5,
            _muted(lambda v: v.owner),
            "right",
            grow=True,
            most=15,
            from_width=96,
        ),
        Column("modified", "Modified (UTC)", 16, _muted(lambda v: v.modified), from_width=130),
        Column("created", "Created (UTC)", 16, _muted(lambda v: v.created), from_width=160),
        Column("hidden", "Hidden by", 9, _muted(lambda v: v.hidden)),
        Column("what", "Changed", 7, lambda v: (v.what, v.style), grow=True, most=30, flex=True),
        Column("instruction", "Instruction", 8, lambda v: (v.instruction, "text"), flex=True),
    )

    class Marked(Message):
        """The marked versions have changed."""

    def __init__(self) -> None:
        super().__init__("versions", "Versions")
        self.marked: list[int] = []  # The marked rows, in the order of marking.

    def same(self, one: VersionRow, other: VersionRow) -> bool:
        return one.layer == other.layer

    @property
    def pair(self) -> tuple[int | None, int]:
        """Returns the rows of the old and the new version to compare; None without an old one.

        These are the two marked versions, or the marked one and the one under the cursor, or the
        one under the cursor and the one below it.
        """
        if len(self.marked) == 2:
            one, other = self.marked
        elif self.marked and self.marked[0] != self.cursor:
            one, other = self.marked[0], self.cursor
        else:
            below = self.cursor + 1
            return (below if below < self.row_count else None), self.cursor
        return max(one, other), min(one, other)

    def mark(self, row: int) -> Cell:
        """Returns an asterisk for a marked version; `-` or `+` for the old or new one compared."""
        old, new = self.pair
        star = "*" if row in self.marked else " "
        if row == old:
            return f"{star}-", "removed"
        return (f"{star}+", "added") if row == new else (star, "accent")

    def clear_marks(self) -> None:
        self._mark([])

    def action_mark(self) -> None:
        """Marks or unmarks the version under the cursor; a third mark removes the first."""
        if self.cursor in self.marked:
            self._mark([row for row in self.marked if row != self.cursor])
        else:
            self._mark([*self.marked[-1:], self.cursor])

    def _mark(self, rows: list[int]) -> None:
        self.marked = rows
        self.redraw()
        self.post_message(self.Marked())
