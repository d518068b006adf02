"""The list of waste: causes, their findings, and the paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from layerscope.text import docker_size, visible
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.rows.format import bar, count, cut, percent
from layerscope.tui.terminal.glyphs import CLOSED, OPEN

if TYPE_CHECKING:
    from layerscope.filesystem.waste_causes import Cause, Causes, Finding, Folded

_BAR = 10
#: The least widths for the percentage, and for its bar.
_WITH_SHARE, _WITH_BAR = 70, 90


@dataclass(frozen=True, slots=True)
class WasteRow:
    """A line: a cause, one of its findings, or a path of a finding."""

    cause: Cause
    size: int  # In bytes.
    finding: Finding | None = None  # None in the line of a cause.
    path: Folded | None = None  # None unless it is the line of a path.
    share: float = 0.0  # Share of the image's size.
    sign: str = ""  # Whether the finding shows its paths; "" if it has only one.

    @property
    def style(self) -> str:
        """The style of its text, which emphasizes sums."""
        return "text" if self.finding is not None else "strong"

    @property
    def key(self) -> tuple[object, ...]:
        finding, path = self.finding, self.path
        if finding is None:
            return (self.cause,)
        kind = None if finding.kind is None else finding.kind.name
        own = (self.cause, finding.wrote, finding.hidden_by, kind)
        return own if path is None else (*own, path.path)

    @property
    def place(self) -> bytes:
        """The path of the line, or of the folder if the line stands for several paths."""
        finding = self.finding
        assert finding is not None  # noqa: S101 - the lines of causes have no path
        if self.path is None and finding.where and len(finding.paths) > 1:
            return finding.where
        return (self.path or finding.paths[0]).path


def _size(row: WasteRow) -> Cell:
    return docker_size(row.size), "muted" if row.path is not None else row.style


def _bar(row: WasteRow) -> Cell:
    # What containers can see is not wasted.
    wasted = row.finding is None and row.cause.name != "LEFT_OVER"
    return bar(row.share, _BAR), "warning" if wasted else "muted"


def _files(row: WasteRow) -> Cell:
    files = 0 if row.finding is None else row.finding.files
    if row.path is not None:
        files = row.path.files if row.path.folder else 0
    return count(files) if files else "", "muted"


def _layers(row: WasteRow) -> Cell:
    from layerscope.reports.findings import layers_of

    finding = row.finding
    return layers_of(finding) if finding is not None and row.path is None else "", "muted"


def _what(row: WasteRow, width: int) -> Sequence[Cell]:
    from layerscope.reports.findings import changed_of, heading, title_of

    finding = row.finding
    if finding is None:
        return ((cut(heading(row.cause), width), row.style),)
    if row.path is not None:
        return (("    ", "text"), (cut(_below(finding, row.path), width - 4), "text"))
    title, changed = title_of(finding), changed_of(finding)
    cells = [(f"{row.sign or ' '} ", "faint"), (cut(title, width - 2), "text")]
    if changed and width - len(title) > 14:
        cells.append((f"  {cut(changed, width - len(title) - 4)}", "warning"))
    return cells


class WasteList(ColumnList[WasteRow], screen="waste", heading="Waste"):
    GAP = 1
    COLUMNS: ClassVar[Sequence[Column[WasteRow]]] = (
        Column("size", "Size", 7, _size, "right", kept=True),
        Column("bar", "", _BAR, _bar, from_width=_WITH_BAR),
        Column(
            "share",
            "Share",
            5,
            lambda row: (percent(row.share), "muted"),
            "right",
            from_width=_WITH_SHARE,
        ),
        Column("files", "Files", 5, _files, "right", from_width=50),
        Column("layers", "Layer", 6, _layers, grow=True),
        Column("what", "What", 8, lambda _: ("", "text"), flex=True, pieces=_what),
    )

    def no_finding(self) -> str:
        if self.item is not None and self.item.finding is None:
            return "This line is a sum: go to one below it first."
        return self._nothing_listed()

    def _nothing_listed(self) -> str:
        return "Nothing is listed." if self.item is None else ""

    def _nothing_below(self) -> str:
        if self.item is None:
            return "Nothing is listed."
        finding = self.item.finding
        one = finding is not None and len(finding.paths) < 2
        return "It has this one path." if one else ""

    KEYS = (
        Key(
            "waste.expand",
            "l,right",
            "expand(True)",
            "Expand",
            "Show what is below a line",
            _nothing_listed,
        ),
        Key(
            "waste.collapse",
            "h,left",
            "expand(False)",
            "Collapse",
            "Hide what is below a line",
            _nothing_listed,
        ),
        Key(
            "waste.toggle",
            "space",
            "toggle_line",
            "Paths",
            "Show or hide the paths of a finding, or the findings of a sum",
            _nothing_below,
            hint="waste",
        ),
        Key(
            "waste.files",
            "enter",
            "choose",
            "Files",
            "Go to the file, in the layer that hid it; on a sum, show or hide its findings",
            _nothing_listed,
            hint="waste",
        ),
    )

    def __init__(self) -> None:
        super().__init__("waste", self.HEADING)
        self._causes: Causes | None = None
        #: Keys of the expanded findings, and of the collapsed causes.
        self._toggled: set[tuple[object, ...]] = set()
        self._total = 0

    def set_causes(self, causes: Causes, total: int) -> None:
        """Shows what could be saved; the cursor stays on its item."""
        self._causes, self._total = causes, total
        # On the largest, until the user has moved the cursor.
        self._update(None if self.moved else 1)

    def _is_open(self, row: WasteRow) -> bool:
        return (replace(row, path=None).key in self._toggled) != (row.finding is None)

    def mark(self, row: int) -> Cell:
        item = self.items[row]
        return CLOSED if item.finding is None and not self._is_open(item) else " ", "faint"

    def action_expand(self, wanted: bool) -> None:
        row = self.item
        if row is None or self._nothing_below() or self._is_open(row) == wanted:
            return
        # For a path, the line of its finding.
        key = replace(row, path=None).key
        self._toggled ^= {key}
        self.cursor = next(n for n, each in enumerate(self.items) if each.key == key)
        self._update()

    def action_toggle_line(self) -> None:
        if self.item is not None:
            self.action_expand(not self._is_open(self.item))

    def action_choose(self) -> None:
        """Goes to a finding; expands or collapses a sum."""
        if self.item is not None and self.item.finding is None:
            self.action_toggle_line()
        else:
            super().action_choose()

    def _update(self, cursor: int | None = None) -> None:
        if self._causes is None:
            return
        before = self.item
        total = self._total or 1
        rows: list[WasteRow] = []
        for cause, size, findings in self._causes.by_cause():
            rows.append(WasteRow(cause, size, share=size / total))
            for finding in findings if self._is_open(rows[-1]) else ():
                row = WasteRow(cause, finding.size, finding, share=finding.size / total)
                is_open = self._is_open(row)
                several = len(finding.paths) > 1
                rows.append(replace(row, sign=(OPEN if is_open else CLOSED) if several else ""))
                if is_open:
                    rows += [
                        WasteRow(cause, path.size, finding, path, path.size / total)
                        for path in finding.paths
                    ]
        if cursor is None and before is not None:
            keys = [row.key for row in rows]
            # The comparison may have changed the cause.
            layers = [key[1:3] for key in keys]
            if before.key in keys:
                cursor = keys.index(before.key)
            elif before.finding is not None and before.key[1:3] in layers:
                cursor = layers.index(before.key[1:3])
        self.show(rows, cursor)


def _below(finding: Finding, path: Folded) -> str:
    """Returns a path relative to that of its finding, which is above it; safe to show."""
    from layerscope.reports.findings import path_text

    text = path_text(path)
    above = f"/{visible(finding.where)}/"
    return text.removeprefix(above) or text if finding.where else text
