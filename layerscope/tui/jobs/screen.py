"""The list of jobs, running and ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from layerscope.errors import LayerscopeError
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import Job, State
from layerscope.jobs.journal import ending
from layerscope.jobs.launch import cancel
from layerscope.text import docker_age, duration, plural, visible
from layerscope.tui.base_screen import AppModal
from layerscope.tui.destinations import Place
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.rows.facts import Note
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal import glyphs
from layerscope.tui.terminal.glyphs import SEPARATOR

_PERIOD = 1.0


@dataclass(frozen=True, slots=True)
class _Row:
    """A job at a Unix time."""

    job: Job
    state: State
    now: float
    seconds: float | None  # Its running time.
    why: str = ""  # Why it failed, in one or more lines; not safe to show.

    @property
    def style(self) -> str:
        return {State.RUNNING: "accent", State.FINISHED: "added"}.get(self.state, "removed")


def _took(row: _Row) -> Cell:
    return "" if row.seconds is None else duration(row.seconds), "muted"


class JobList(ColumnList[_Row], screen="jobs", heading="Jobs"):
    MARK_WIDTH = 3
    GAP = 1
    KEYS = (Key("jobs.attach", "enter", "choose", "Attach", "Show the job"),)
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column("job", "Job", 4, lambda row: (row.job.id, "strong"), "right"),
        Column("state", "State", 10, lambda row: (row.state.value, row.style)),
        Column(
            "started", "Started", 22, lambda row: (docker_age(row.job.started, row.now), "muted")
        ),
        Column("took", "Took", 7, _took, "right"),
        Column(
            "what",
            " What",
            8,
            lambda row: (f" {row.job.kind} {visible(row.job.title)}", "text"),
            flex=True,
        ),
    )

    def __init__(self) -> None:
        super().__init__("job-rows", "Jobs")
        self.set_placeholder(("Reading…", "muted"))

    def same(self, one: _Row, other: _Row) -> bool:
        return one.job.id == other.job.id

    def mark(self, row: int) -> Cell:
        item = self.items[row]
        marks = {State.RUNNING: glyphs.BUSY, State.FINISHED: glyphs.DONE}
        return f" {marks.get(item.state, glyphs.FAILED)}", item.style

    def show_jobs(self, rows: Sequence[_Row]) -> None:
        self.set_placeholder(
            ("No jobs yet.", "text"),
            ("On the main screen, b builds an image, and < pulls one.", "muted"),
        )
        self.show(rows)
        running = sum(row.state is State.RUNNING for row in self.items)
        ways = [f"{key_of(self, 'jobs.attach')} shows"] if self.items else []
        ways += [f"{key_of(self, 'jobs.cancel')} stops"] if running else []
        ways.append(f"{key_of(self, 'jobs.back')} goes back")
        count = f"{running} of {plural(len(self.items), 'job')} running"
        self.set_status(f"{count}{SEPARATOR}{', '.join(ways)}")


def _read(job: Job, now: float) -> _Row:
    state = job.state
    if state is State.RUNNING:
        return _Row(job, state, now, max(0.0, now - job.started))
    end = ending(job)
    return _Row(job, state, now, end.seconds, end.why)


class JobsScreen(AppModal[None], screen="jobs", heading="Jobs"):
    CSS_PATH = "jobs.tcss"

    def _nothing_to_stop(self) -> str:
        row = self._list.item
        if row is None:
            return "There are no jobs."
        return "" if row.state is State.RUNNING or row.job.left else "This job has ended."

    def _not_to_repeat(self) -> str:
        row = self._list.item
        if row is None:
            return "There are no jobs."
        return "It still runs." if row.state is State.RUNNING else ""

    KEYS = (
        Key("jobs.back", "escape,q", "dismiss(None)", "Back"),
        common.cancel_key("jobs", "Stop the job", _nothing_to_stop),
        Key("jobs.repeat", "b", "repeat", "Again", "Repeat the job", _not_to_repeat),
    )

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._list = JobList()
        self._why = Note("job-why", "Why")
        self._why.display = False

    def compose(self) -> ComposeResult:
        with Vertical(id="jobs"):
            yield self._list
            yield self._why

    def on_mount(self) -> None:
        self._load()
        self.set_interval(_PERIOD, self._load)
        self.set_focus(self._list)

    def _load(self) -> None:
        def read(_: object) -> list[_Row]:
            now = time.time()
            return [_read(job, now) for job in all_jobs()]

        def show(rows: Sequence[_Row]) -> None:
            self._list.show_jobs(rows)
            self._show_why()

        self.work.queue("jobs", read, show)

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        message.stop()
        self._show_why()

    def _show_why(self) -> None:
        row = self._list.item
        lines = row.why.splitlines() if row is not None else ()
        self._why.display = bool(lines)
        self._why.show(*((visible(line), "removed") for line in lines))

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        if (row := self._list.item) is not None:
            self._show_job(row.job)

    def _show_job(self, job: Job) -> None:
        room = "build" if job.kind == "build" else "transfer"
        self.visit(f"{room}_job", replace(self._place, build=(job, None, None)))

    def action_repeat(self) -> None:
        if (row := self._list.item) is not None:
            job = row.job
            self.work.start(f"repeat {job.id}", lambda _: _repeated(job), self._show_job)

    def action_cancel(self) -> None:
        if (row := self._list.item) is not None:
            job = row.job
            self.work.start(f"cancel {job.id}", lambda _: _stop(job))


def _repeated(job: Job) -> Job:
    """Starts a job again; raises LayerscopeError if it cannot."""
    from layerscope.build.request import BUILD
    from layerscope.transfer.request import KINDS

    kind = BUILD if job.kind == BUILD.name else KINDS.get(job.kind)
    if kind is None:
        raise LayerscopeError(f"Job {job.id} is of an unknown kind, {visible(job.kind)}.")
    return kind.repeat(job)


def _stop(job: Job) -> None:
    """Stops a job, or removes what it left in its engine; raises LayerscopeError."""
    if not job.locked() and job.left:
        from layerscope.build.cleanup import clean_after

        clean_after(job)
    elif not cancel(job):
        raise LayerscopeError(f"Job {job.id} has not stopped yet.")
