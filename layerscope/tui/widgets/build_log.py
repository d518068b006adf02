"""The log of a step, or of the whole build: as long as it is, searchable, at the end by itself."""

from __future__ import annotations

from array import array
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from layerscope.build.state import BuildState, BuildStep, StepState
from layerscope.text import visible
from layerscope.tui.background import run_beside
from layerscope.tui.format import Line, cut, plural, wrap
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.log_colors import colored_line
from layerscope.tui.widgets.row_view import RowView

#: Cells by which a line is moved aside.
_ASIDE = 16

#: What stands for a log without a line; of a step that ran to its end, it is that it printed none.
_SILENT = {
    StepState.WAITING: "This step has not begun.",
    StepState.RUNNING: "Nothing is printed yet.",
    StepState.CACHED: "Taken from the cache, so nothing ran.",
    StepState.SKIPPED: "This step did not run.",
}


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
        Binding("l,right", "aside(1)", "Right", tooltip="The right of long lines", id="log.right"),
        Binding("h,left", "aside(-1)", "Left", tooltip="The left of long lines", id="log.left"),
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
        # Lines that were read, and those of which log they are.
        self._kept: dict[int, tuple[str, str]] = {}
        self._kept_of: array[int] | None = None

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
        # The build goes on meanwhile; a search that another one follows is not gone on with.
        known = offsets[:total]

        def stopped() -> bool:
            return number != self._search

        def work() -> None:
            row = state.log_lines.find(known, needle, start, step, stopped)
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
        base = colors.match if row == self._found else colors.text
        label, text = self._told(row)
        line = _moved(colored_line(text, base, self._aside + width), self._aside)
        if self.whole:
            line.insert(0, (f"{label:>{len(str(self._state.total))}}  ", colors.muted))
        return line

    def _told(self, row: int) -> tuple[str, str]:
        """A line, and the number of the step that printed it, as people get to see it."""
        offsets = self._offsets
        if self._kept_of is not offsets:
            self._kept, self._kept_of = {}, offsets
        if row not in self._kept and self._state is not None:
            # All that is in sight is read at once, and kept for as long as it is in sight.
            start, stop = self.top, min(self.top + self.page_size, len(offsets))
            start, stop = min(start, row), max(stop, row + 1)
            missing = [each for each in range(start, stop) if each not in self._kept]
            self._kept = {n: told for n, told in self._kept.items() if start <= n < stop}
            first, last = missing[0], missing[-1] + 1
            lines = self._state.lines(offsets, first, last)
            for n, text in zip(range(first, last), lines, strict=False):
                self._kept[n] = (self._state.printed_by(offsets[n]), text)
        return self._kept.get(row, ("", ""))

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
        """Why the step failed or was stopped, as lines behind its log."""
        step, state = self._step, self._state
        if step is None or state is None or self.whole:
            return []
        ended = state.end if step.state is StepState.STOPPED else step.ended
        if ended is None or ended.event not in ("step_failed", "failed") or not ended.text:
            return []
        return wrap(visible(ended.text), max(20, self.size.width - 1))

    def _silence(self) -> str:
        """Why there is no line."""
        if self._step is not None and not self.whole:
            return _SILENT.get(self._step.state, "It printed nothing.")
        over = self._state is not None and self._state.end is not None
        return "Nothing was printed." if over else _SILENT[StepState.RUNNING]

    def _update(self) -> None:
        count = len(self._offsets)
        if not count:
            self.set_placeholder((self._silence(), "muted"))
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


def _moved(line: Line, cells: int) -> Line:
    moved: Line = []
    for text, style in line:
        if cells >= len(text):
            cells -= len(text)
            continue
        moved.append((text[cells:], style))
        cells = 0
    return moved
