"""The log of a step, or of the whole build: as long as it is, searchable, at the end by itself."""

from __future__ import annotations

from array import array
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from layerscope.build.state import BuildState, BuildStep
from layerscope.text import COLORS, visible
from layerscope.tui.background import run_beside
from layerscope.tui.format import Line, cut, plural, wrap
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.log_colors import colored_line
from layerscope.tui.widgets.row_view import RowView

#: Cells by which a line is moved aside.
_ASIDE = 16
#: Lines that are looked through in one go.
_BATCH = 2000


class BuildLog(RowView):
    """Lines of a log, read from the journal when they are shown.

    Attributes:
        follow: Whether the end is in sight as the log grows.
        whole: Whether the log of all steps is shown.
        needle: What is looked for.
    """

    HAS_CURSOR = False

    class Searched(Message):
        """A search has ended: at a line, or at none."""

        def __init__(self, row: int | None, number: int) -> None:
            super().__init__()
            self.row = row
            self.number = number

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "aside(1)", "Right", id="log.right", show=False),
        Binding("h,left", "aside(-1)", "Left", id="log.left", show=False),
    ]

    def __init__(self) -> None:
        super().__init__("log")
        self.follow = True
        self.whole = False
        self.needle = ""
        self._state: BuildState | None = None
        self._step: BuildStep | None = None
        self._aside = 0
        self._found: int | None = None
        self._search = 0
        self._reason: list[str] = []
        self._note = ""

    def show(self, state: BuildState, step: BuildStep | None, note: str = "") -> None:
        """Shows the log of a step, or what it has got since.

        Args:
            state: The build.
            step: The step.
            note: A sentence about it, shown in the lower border; safe to show.
        """
        self._note = note
        changed = step is not self._step
        self._state, self._step = state, step
        if changed and not self.whole:
            self.follow = True
            self._aside = 0
            self._found = None
        self._update()

    def toggle_whole(self) -> None:
        """Shows the log of one step, or of all."""
        self.whole = not self.whole
        self.follow = True
        self._found = None
        self._update()

    def search(self, text: str) -> None:
        """Looks for a text, from what is in sight on; `Searched` tells where it is, if at all."""
        self.needle = text
        self._found = None
        if text:
            self.go_to_match(1)
        else:
            self.redraw()

    def go_to_match(self, step: int) -> None:
        """Goes to the next or previous line with what is looked for, round the end if need be."""
        state, offsets, needle = self._state, self._offsets, self.needle
        total = len(offsets)
        if state is None or not needle or not total:
            self.post_message(self.Searched(None, self._search))
            return
        self._search += 1
        number = self._search
        start = (self.top if self._found is None else self._found + step) % total

        def work() -> None:
            row = _find(state, offsets, needle.lower(), start, total, step)
            self.post_message(self.Searched(row, number))

        run_beside("search", work)

    def on_build_log_searched(self, message: Searched) -> None:
        """Shows what was found."""
        if message.number != self._search:
            message.stop()
        elif message.row is not None:
            self._found = message.row
            self.move_to(max(0, message.row - self.page_size // 2))
            self.follow = False
            self.redraw()

    def row(self, row: int, width: int) -> Line:
        """A line."""
        if self._state is None:
            return []
        colors = self.ink
        behind = row - len(self._offsets)
        if behind >= 0:
            return [(self._reason[behind], colors.removed)] if behind < len(self._reason) else []
        text = next(self._state.lines(self._offsets, row, row + 1), "")
        base = colors.match if row == self._found else colors.text
        line = colored_line(text, base)
        return _moved(line, self._aside)

    def action_aside(self, step: int) -> None:
        """Moves long lines aside."""
        aside = max(0, self._aside + step * _ASIDE)
        if aside != self._aside:
            self._aside = aside
            self.redraw()

    def move_to(self, row: int) -> None:
        """Scrolls; the end is followed once it is in sight."""
        super().move_to(row)
        self.follow = self.top >= self._last_top

    def action_page(self, pages: float) -> None:
        """Scrolls by pages."""
        super().action_page(pages)
        self.follow = self.top >= self._last_top

    @property
    def _offsets(self) -> array[int]:
        if self._state is None or (self._step is None and not self.whole):
            return array("Q")
        return self._state.log if self.whole or self._step is None else self._step.log

    def _why(self) -> list[str]:
        """Why the step failed, as lines behind its log."""
        ended = self._step.ended if self._step is not None and not self.whole else None
        if ended is None or ended.event != "step_failed" or not ended.text:
            return []
        return wrap(visible(ended.text), max(20, self.size.width - 1))

    def _update(self) -> None:
        count = len(self._offsets)
        if not count:
            self.set_placeholder(("Nothing was printed here.", "muted"))
        self._reason = self._why()
        rows = count + len(self._reason)
        if self.follow:
            self.top = max(0, rows - self.page_size)
        self.set_rows(rows)
        title = "2 Log"
        if self.whole:
            title += f"{SEPARATOR}all steps"
        elif self._step is not None:
            title += f"{SEPARATOR}step {self._step.label}"
        lines = plural(count, "line") if count else ""
        room = max(0, self.size.width - len(lines) - 8)
        note = "" if self.whole else cut(self._note, room)
        self.set_texts(title, SEPARATOR.join(filter(None, (note, lines))))


def _find(
    state: BuildState, offsets: array[int], needle: str, start: int, total: int, step: int
) -> int | None:
    for first, last in _spans(start, total, step):
        lines = list(enumerate(state.lines(offsets, first, last), start=first))
        for row, text in lines if step > 0 else reversed(lines):
            if needle in COLORS.sub("", text).lower():
                return row
    return None


def _spans(start: int, total: int, step: int) -> list[tuple[int, int]]:
    """Pieces of the lines, from one of them on and round the end, in the order of a search."""
    ahead = [(n, min(n + _BATCH, total)) for n in range(start, total, _BATCH)]
    around = [(n, min(n + _BATCH, start)) for n in range(0, start, _BATCH)]
    if step > 0:
        return ahead + around
    before = [(max(0, n - _BATCH), n) for n in range(start + 1, 0, -_BATCH)]
    behind = [(max(start + 1, n - _BATCH), n) for n in range(total, start + 1, -_BATCH)]
    return before + behind


def _moved(line: Line, cells: int) -> Line:
    moved: Line = []
    for text, style in line:
        if cells >= len(text):
            cells -= len(text)
            continue
        moved.append((text[cells:], style))
        cells = 0
    return moved
