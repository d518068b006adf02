"""What could be saved: causes, what each of them wastes, and where that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from layerscope.text import docker_size, visible
from layerscope.tui.format import Line, bar, count, cut, left, right
from layerscope.tui.glyphs import CLOSED, HORIZONTAL, OPEN, TO
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.filesystem.waste_causes import Cause, Causes, Finding, Folded

_BAR = 10


@dataclass(frozen=True, slots=True)
class WasteRow:
    """A line: a cause, one of its findings, or a path of that.

    Attributes:
        cause: The cause.
        size: Bytes.
        finding: The finding; None in the line of a cause.
        path: The path; None unless the line is one of a path.
    """

    cause: Cause
    size: int
    finding: Finding | None = None
    path: Folded | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What it is, whatever its size and place."""
        finding, path = self.finding, self.path
        if finding is None:
            return (self.cause,)
        kind = None if finding.kind is None else finding.kind.name
        own = (self.cause, finding.wrote, finding.hidden_by, kind)
        return own if path is None else (*own, path.path)


class WasteList(RowView):
    """Causes with their findings, largest first."""

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "expand(True)", "Show the paths", id="waste.expand"),
        Binding("h,left", "expand(False)", "Hide the paths", id="waste.collapse"),
        Binding(
            "space",
            "toggle_paths",
            "Paths",
            tooltip="Show or hide the paths of a finding",
            id="waste.toggle",
        ),
        Binding(
            "enter",
            "choose",
            "Files",
            key_display="enter",
            tooltip="Go to it in the files of the layer that hid it",
            id="waste.files",
        ),
    ]

    def __init__(self) -> None:
        super().__init__("waste")
        self._causes: Causes | None = None
        self._rows: list[WasteRow] = []
        self._open: set[tuple[object, ...]] = set()
        self._total = 0
        self._moved = False

    @property
    def current(self) -> WasteRow | None:
        """The line under the cursor."""
        return self._rows[self.cursor] if self._rows else None

    def set_causes(self, causes: Causes, total: int) -> None:
        """Shows what could be saved; the cursor stays on what it is on.

        Args:
            causes: What could be saved.
            total: Bytes of the whole image.
        """
        self._causes, self._total = causes, total
        # On the largest, until the user has moved elsewhere.
        self._update(None if self._moved else 1)

    def move_to(self, row: int) -> None:
        """Moves the cursor."""
        self._moved = True
        super().move_to(row)

    def action_expand(self, wanted: bool) -> None:
        """Shows or hides the paths of a finding."""
        row = self.current
        if row is None or row.finding is None:
            return
        key = WasteRow(row.cause, 0, row.finding).key
        if wanted and len(row.finding.paths) > 1:
            self._open.add(key)
        elif not wanted and key in self._open:
            self._open.discard(key)
            self.cursor = next(n for n, each in enumerate(self._rows) if each.key == key)
        self._update()

    def action_toggle_paths(self) -> None:
        """Shows or hides the paths of a finding."""
        row = self.current
        if row is not None and row.finding is not None:
            self.action_expand(WasteRow(row.cause, 0, row.finding).key not in self._open)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        row = self.current
        if action in ("choose", "toggle_paths", "expand") and (row is None or row.finding is None):
            return "This line is a sum: go to one below it first."
        if action == "toggle_paths" and row is not None and row.finding is not None:
            return "" if len(row.finding.paths) > 1 else "It has this one path."
        return ""

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        style = self.ink.muted
        return [
            (f" {right('Size', 8)} ", style),
            (f" {right('Files', 6)}  {left('Layer', 10)} ", style),
            ("What", style),
        ]

    def row(self, row: int, width: int) -> Line:
        """A line."""
        from layerscope.filesystem.waste_causes import Cause
        from layerscope.reports.waste_report import WORDS, changed_of, title_of

        each, colors = self._rows[row], self.ink
        size = docker_size(each.size)
        if each.finding is None:
            left_over = each.cause is Cause.LEFT_OVER
            style = colors.muted if left_over else colors.strong
            share = each.size / self._total if self._total else 0.0
            filled = bar(share, _BAR).rstrip()
            words = WORDS[each.cause]
            line: Line = [
                (f" {right(size, 8)} ", style),
                (f" {words[:1].upper()}{words[1:]} ", style),
            ]
            if width >= 70:
                line += [
                    (filled, colors.muted if left_over else colors.warning),
                    (HORIZONTAL * (_BAR - len(filled)), colors.faint),
                    (
                        f" {share:.1%} of the image" if width >= 90 else f" {share:.1%}",
                        colors.muted,
                    ),
                ]
            return line
        if each.path is not None:
            files = count(each.path.files) if each.path.folder else ""
            return [
                (f" {right(size, 8)}  {right(files, 6)}  {left('', 10)} ", colors.muted),
                (f"    {cut(_below(each.finding, each.path), max(8, width - 34))}", colors.text),
            ]
        finding = each.finding
        layers = str(finding.wrote)
        if finding.hidden_by is not None:
            layers += f" {TO} {finding.hidden_by}"
        sign = " "
        if len(finding.paths) > 1:
            sign = OPEN if each.key in self._open else CLOSED
        line = [
            (f" {right(size, 8)} ", colors.text),
            (f" {right(count(finding.files), 6)}  {left(layers, 10)} ", colors.muted),
            (f"{sign} ", colors.faint),
        ]
        room = max(8, width - 32)
        changed = changed_of(finding)
        title = title_of(finding)
        line.append((cut(title, room), colors.text))
        if changed and room - len(title) > 12:
            line.append((f"  {cut(changed, room - len(title) - 2)}", colors.warning))
        return line

    def _update(self, cursor: int | None = None) -> None:
        if self._causes is None:
            return
        before = self.current
        self._rows = []
        for cause, size, findings in self._causes.by_cause():
            self._rows.append(WasteRow(cause, size))
            for finding in findings:
                row = WasteRow(cause, finding.size, finding)
                self._rows.append(row)
                if row.key in self._open:
                    self._rows += [
                        WasteRow(cause, path.size, finding, path) for path in finding.paths
                    ]
        if cursor is None and before is not None:
            keys = [row.key for row in self._rows]
            # What was compared may have another cause now.
            layers = [key[1:3] for key in keys]
            if before.key in keys:
                cursor = keys.index(before.key)
            elif before.finding is not None and before.key[1:3] in layers:
                cursor = layers.index(before.key[1:3])
        self.set_rows(len(self._rows), cursor)


def _below(finding: Finding, path: Folded) -> str:
    """A path as it is below that of its finding, which stands above it; safe to show."""
    from layerscope.reports.waste_report import path_text

    text = path_text(path)
    above = f"/{visible(finding.where)}/"
    return text.removeprefix(above) or text if finding.where else text
