"""The jobs: those that run, and those that ran."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from layerscope.errors import LayerscopeError
from layerscope.jobs.job import Job
from layerscope.jobs.launch import cancel
from layerscope.tui.background import run_beside
from layerscope.tui.widgets.job_rows import JobRows
from layerscope.tui.widgets.row_view import RowView

_PERIOD = 1.0


class JobsScreen(ModalScreen[Job | None], inherit_bindings=False):
    """All jobs; gives the one to attach to, or None."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Back", id="jobs.back"),
        Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop the job", id="jobs.cancel"),
    ]

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Makes the list.

        Args:
            clock: Tells the time that ages are counted from.
        """
        super().__init__()
        self._rows = JobRows(clock)

    def compose(self) -> ComposeResult:
        """The list."""
        yield self._rows

    def on_mount(self) -> None:
        """Shows the jobs, and looks again now and then."""
        self._rows.load()
        self.set_interval(_PERIOD, self._rows.load)
        self.set_focus(self._rows)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Gives the job to the one who asked."""
        message.stop()
        self.dismiss(self._rows.job)

    def action_cancel(self) -> None:
        """Stops the job under the cursor."""
        job = self._rows.job
        if job is not None:
            run_beside("cancel", lambda: _stop(job))


def _stop(job: Job) -> None:
    if job.locked() or not job.left:
        cancel(job)
        return
    from layerscope.build.leftovers import clean_after

    # What is left of it can be taken away later too.
    with suppress(LayerscopeError, OSError):
        clean_after(job)
