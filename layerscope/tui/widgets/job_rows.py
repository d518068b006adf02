"""The jobs, those that run and those that ran, a line for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import Job, State
from layerscope.text import docker_age, visible
from layerscope.tui import glyphs
from layerscope.tui.format import Line, cut, left, plural, right
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.widgets.key_bar import key_of
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.step_list import duration


class JobRows(RowView):
    """A line for each job."""

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Attach", key_display="enter", id="jobs.attach"),
    ]

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__("job-rows")
        self._clock = clock
        self._jobs: list[tuple[Job, State]] = []

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        return self._jobs[self.cursor][0] if self._jobs else None

    def load(self) -> None:
        """Looks at what there is now."""
        self._jobs = [(job, job.state) for job in all_jobs()]
        if not self._jobs:
            self.set_placeholder(
                ("Nothing has been built yet.", "text"), ("b on the main screen builds.", "muted")
            )
        running = sum(state is State.RUNNING for _, state in self._jobs)
        ways = [f"{key_of(self, 'jobs.attach')} shows"] if self._jobs else []
        ways += [f"{key_of(self, 'jobs.cancel')} stops"] if running else []
        ways.append(f"{key_of(self, 'jobs.back')} goes back")
        count = f"{running} of {plural(len(self._jobs), 'job')} running"
        self.set_texts("Jobs", f"{count}{SEPARATOR}{', '.join(ways)}")
        self.set_rows(len(self._jobs))

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        text = f"   {right('Job', 4)} {left('State', 10)} {left('Started', 22)} {right('Took', 7)}"
        return [(f"{text}  What", self.ink.muted)]

    def row(self, row: int, width: int) -> Line:
        """A job."""
        colors = self.ink
        job, state = self._jobs[row]
        mark, style = {
            State.RUNNING: (glyphs.BUSY, colors.accent),
            State.FINISHED: (glyphs.DONE, colors.added),
        }.get(state, (glyphs.FAILED, colors.removed))
        end = self._clock() if state is State.RUNNING else job.ended
        took = "" if end is None else duration(max(0.0, end - job.started))
        age = docker_age(job.started, self._clock())
        return [
            (f" {mark} ", style),
            (right(job.id, 4) + " ", colors.strong),
            (left(state.value, 10) + " ", style),
            (left(age, 22) + " " + right(took, 7) + "  ", colors.muted),
            (cut(f"{job.kind} {visible(job.title)}", width - 51), colors.text),
        ]
