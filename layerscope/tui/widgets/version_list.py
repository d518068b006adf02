"""The versions of a path, the newest at the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from layerscope.tui.format import Line, cut, left, right
from layerscope.tui.widgets.row_view import RowView


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What is shown of a version. Texts are safe to show.

    Attributes:
        layer: Its layer.
        change: A `Change`.
        size: Bytes; empty for what has none.
        mode: As `ls -l` shows it.
        owner: User and group.
        modified: When, in UTC.
        created: When the layer was made.
        hidden: Which layer hid it; empty while it is visible at the top.
        what: In what it differs from the version below.
        instruction: What made the layer.
    """

    layer: int
    change: int
    size: str
    mode: str
    owner: str
    modified: str
    created: str
    hidden: str
    what: str
    instruction: str


class VersionList(RowView):
    """The list; two versions can be marked.

    Attributes:
        marked: Rows that are marked, in the order in which they were.
    """

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "space",
            "mark",
            "Mark",
            tooltip="Mark a version, to compare it with another one",
            id="versions.mark",
        ),
        Binding(
            "enter",
            "choose",
            "Diff",
            key_display="enter",
            tooltip="Go to the diff",
            id="versions.diff",
        ),
    ]

    class Marked(Message):
        """Others are marked."""

    def __init__(self) -> None:
        super().__init__("versions")
        self.marked: list[int] = []
        self._versions: Sequence[VersionRow] = ()

    def set_versions(self, versions: Sequence[VersionRow], cursor: int | None = None) -> None:
        """Shows versions, the newest first.

        Args:
            versions: The versions.
            cursor: Where the cursor goes; None leaves it where it is.
        """
        self._versions = versions
        self.set_rows(len(versions), cursor)

    @property
    def pair(self) -> tuple[int | None, int]:
        """The rows of the old and the new version that are compared; None if there is no old one.

        Those are the ones that are marked, or the one that is and the one under the cursor, or this
        and the one below it.
        """
        if len(self.marked) == 2:
            one, other = self.marked
        elif self.marked and self.marked[0] != self.cursor:
            one, other = self.marked[0], self.cursor
        else:
            below = self.cursor + 1
            return (below if below < self.row_count else None), self.cursor
        return max(one, other), min(one, other)

    def clear_marks(self) -> None:
        """Marks nothing any more."""
        self.marked = []
        self.redraw()
        self.post_message(self.Marked())

    def action_mark(self) -> None:
        """Marks the version under the cursor, or not any more; of three, the first is let go."""
        if self.cursor in self.marked:
            self.marked.remove(self.cursor)
        else:
            self.marked = [*self.marked[-1:], self.cursor]
        self.redraw()
        self.post_message(self.Marked())

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        if action == "mark" and self.row_count < 2:
            return "This path has one version only, and none to compare it with."
        return ""

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        line: Line = [(left("", 3), self.ink.muted)]
        for name, size, flush in self._columns(width):
            line.append(((right if flush else left)(name, size) + " ", self.ink.muted))
        return line

    def row(self, row: int, width: int) -> Line:
        """A version; `-` and `+` tell which are compared, as old and as new one."""
        colors = self.ink
        version = self._versions[row]
        old, new = self.pair
        sign, style = " ", colors.text
        if row == old:
            sign, style = "-", colors.removed
        elif row == new:
            sign, style = "+", colors.added
        mark = "*" if row in self.marked else " "
        line: Line = [(mark, colors.accent), (f"{sign} ", style + colors.strong)]
        values = {
            "#": (str(version.layer), colors.strong),
            "": (" AMR"[version.change] if version.change else "=", colors.change(version.change)),
            "Size": (version.size, colors.text),
            "Mode": (version.mode, colors.muted),
            "Owner": (version.owner, colors.muted),
            "Modified (UTC)": (version.modified, colors.muted),
            "Layer made (UTC)": (version.created, colors.muted),
            "Hidden by": (version.hidden, colors.muted),
            "Changed": (version.what, colors.change(version.change)),
            "Instruction": (version.instruction, colors.text),
        }
        for name, size, flush in self._columns(width):
            text, style = values[name]
            line.append(((right if flush else left)(cut(text, size), size) + " ", style))
        return line

    def _columns(self, width: int) -> list[tuple[str, int, bool]]:
        """Name, width and whether flush right, of the columns that there is room for."""
        owner = max((len(version.owner) for version in self._versions), default=0)
        what = max((len(version.what) for version in self._versions), default=0)
        columns = [("#", 3, True), ("", 1, False), ("Size", 7, True)]
        if width >= 96:
            columns += [("Mode", 10, False), ("Owner", max(5, min(owner, 15)), True)]
        if width >= 130:
            columns.append(("Modified (UTC)", 16, False))
        if width >= 160:
            columns.append(("Layer made (UTC)", 16, False))
        columns.append(("Hidden by", 9, False))
        rest = width - 3 - sum(size + 1 for _, size, _ in columns)
        what = max(7, min(what, 30, rest // 2))
        return [*columns, ("Changed", what, False), ("Instruction", max(4, rest - what - 1), False)]
