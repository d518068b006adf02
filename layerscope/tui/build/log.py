"""The log of a step or of the whole build, of any length; it can be searched and followed."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from layerscope.build.state import BuildState, BuildStep, StepState
from layerscope.text import visible
from layerscope.tui.build.log_colors import colored_line
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import Line, plural, wrap
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.work import Task, Work

#: Cells of a horizontal scroll step, and the most lines of a note.
_ASIDE, _HEAD = 16, 3

#: Placeholders for an empty log.
_SILENT = {
    StepState.WAITING: "This step has not started.",
    StepState.RUNNING: "No output yet.",
    StepState.CACHED: "Taken from the cache, so nothing ran.",
    StepState.SKIPPED: "This step did not run.",
}


class BuildLog(RowView, screen="build", heading="2 Log"):
    """Lines of a log, read from the journal when they are shown."""

    HAS_CURSOR = False
    KEEPS_HEADER = True
    KEYS = (
        Key("log.right", "l,right", "aside(1)", "Right", "Scroll to the right"),
        Key("log.left", "h,left", "aside(-1)", "Left", "Scroll to the left"),
    )

    def __init__(self, work: Work, say: Callable[[str], object]) -> None:
        super().__init__("log", self.HEADING)
        self.follow = True  # Whether the end stays in sight as the log grows.
        self.whole = False  # Whether the log of all steps is shown.
        self.needle = ""
        self.problem = ""  # Why the build cannot be followed; empty while it can.
        self._work = work
        self._say = say
        self._state: BuildState | None = None
        self._step: BuildStep | None = None
        self._aside = 0
        self._found: int | None = None
        self._reason: list[str] = []
        self._note = ""
        self._head: list[str] = []
        # Visible lines with the steps that printed them, and the log they are from.
        self._read: dict[int, tuple[str, str]] = {}
        self._read_from: array[int] | None = None

    def show(self, state: BuildState, step: BuildStep | None, note: str = "") -> None:
        """Shows the log of a step, or its new lines; `note`, safe to show, stays above it."""
        self._note = note
        changed = step is not self._step
        self._state, self._step = state, step
        if changed and not self.whole:
            self._aside = 0
            self._begin()
        self._update()

    def toggle_whole(self) -> None:
        self.whole = not self.whole
        self._begin()
        self._update()

    def _begin(self) -> None:
        """Resets the search and follows the end, for another log."""
        self._work.leave("search")
        self._found = None
        self.follow = True

    # Search.

    def search(self, text: str) -> None:
        self._work.leave("search")
        self._found = None
        self.needle = text
        if text:
            self.go_to_match(1)
        else:
            self.redraw()

    def go_to_match(self, step: int) -> None:
        state, needle = self._state, self.needle
        # The log grows meanwhile.
        known = self._offsets[:]
        if state is None or not needle or not known:
            self._go_to(None)
            return
        start = (self.top if self._found is None else self._found + step) % len(known)

        def find(task: Task[None]) -> int | None:
            return state.log_lines.find(known, needle, start, step, lambda: task.left)

        self._work.start("search", find, self._go_to)

    def _go_to(self, row: int | None) -> None:
        if row is None:
            self._say(f"No match for {visible(self.needle)}.")
            return
        self._found = row
        self.move_to(max(0, row - self.page_size // 2))
        self.follow = False
        self.redraw()

    # Rows.

    @property
    def header_rows(self) -> int:
        return len(self._head) if self.size.height > len(self._head) else 0

    def header(self, row: int, width: int) -> Line:
        return [(self._head[row], self.palette.warning)]

    def row(self, row: int, width: int) -> Line:
        if self._state is None:
            return []
        colors = self.palette
        behind = row - len(self._offsets)
        if behind >= 0:
            return [(self._reason[behind], colors.removed)] if behind < len(self._reason) else []
        base = colors.match if row == self._found else colors.text
        label, text = self._read_line(self._state, row)
        line = _moved(colored_line(text, base, self._aside + width), self._aside)
        if self.whole:
            line.insert(0, (f"{label:>{len(str(self._state.total))}}  ", colors.muted))
        return line

    def _read_line(self, state: BuildState, row: int) -> tuple[str, str]:
        """Returns the label of the step that printed a line, and the line."""
        offsets = self._offsets
        if self._read_from is not offsets:
            self._read, self._read_from = {}, offsets
        if row not in self._read:
            # Reads all visible lines at once, and keeps them while they are visible.
            start, stop = self.top, min(self.top + self.page_size, len(offsets))
            start, stop = min(start, row), max(stop, row + 1)
            missing = [each for each in range(start, stop) if each not in self._read]
            self._read = {n: line for n, line in self._read.items() if start <= n < stop}
            first, last = missing[0], missing[-1] + 1
            lines = state.log_lines.lines(offsets, first, last)
            for n, text in zip(range(first, last), lines, strict=False):
                self._read[n] = (state.printed_by(offsets[n]), text)
        return self._read.get(row, ("", ""))

    def action_aside(self, step: int) -> None:
        aside = max(0, self._aside + step * _ASIDE)
        if aside != self._aside:
            self._aside = aside
            self.redraw()

    def move_to(self, row: int) -> None:
        """Scrolls; follows the end while it is visible."""
        super().move_to(row)
        self.follow = self.top >= self._last_top

    def action_page(self, pages: float) -> None:
        super().action_page(pages)
        self.follow = self.top >= self._last_top

    @property
    def _offsets(self) -> array[int]:
        """Returns the line offsets of the step, or of the whole build before any step has begun."""
        if self._state is None:
            return array("Q")
        if self.whole or self._step is None or self._state.latest is None:
            return self._state.log
        return self._step.log

    def _why(self) -> list[str]:
        """Returns the last lines of the log: why the step or the build failed or stopped."""
        step, state = self._step, self._state
        if state is None:
            return []
        if self.problem:
            return self._wrapped(self.problem)
        ended = None
        if state.failed_between_steps:
            # No step holds the reason, so the log of the latest one shows it.
            latest = step is None or not step.has_begun or step is state.latest
            ended = state.end if self.whole or latest else None
        elif step is not None and not self.whole:
            ended = state.end if step.state is StepState.STOPPED else step.ended
        if ended is None or ended.event not in ("step_failed", "failed") or not ended.text:
            return []
        return self._wrapped(ended.text)

    def _wrapped(self, text: str) -> list[str]:
        width = max(20, self.size.width - 1)
        return [row for line in text.splitlines() for row in wrap(visible(line), width)]

    def _silence(self) -> str:
        if self._step is not None and not self.whole:
            return _SILENT.get(self._step.state, "This step printed nothing.")
        over = self._state is not None and self._state.end is not None
        return "Nothing was printed." if over else _SILENT[StepState.RUNNING]

    def _update(self) -> None:
        count = len(self._offsets)
        if not count:
            self.set_placeholder((self._silence(), "muted"))
        self._reason = self._why()
        self._head = [] if self.whole else self._wrapped(self._note)[:_HEAD]
        rows = count + len(self._reason)
        if self.follow:
            self.top = max(0, rows - self.page_size)
        self.set_rows(rows)
        step = "all steps" if self.whole else f"step {self._step.label}" if self._step else ""
        self.set_status(plural(count, "line") if count else "", step)


def _moved(line: Line, cells: int) -> Line:
    moved: Line = []
    for text, style in line:
        if cells >= len(text):
            cells -= len(text)
            continue
        moved.append((text[cells:], style))
        cells = 0
    return moved
