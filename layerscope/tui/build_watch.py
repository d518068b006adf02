"""Follows a job that builds, beside the screen, however it was started."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from textual.message import Message

from layerscope.build.compare import Compared, Comparison
from layerscope.build.events import BuildEvent
from layerscope.build.state import BuildState
from layerscope.jobs.job import Job, State
from layerscope.tui.background import run_beside

#: Seconds between two looks: what a build prints is painted no more often.
_PERIOD = 0.25


class BuildChanged(Message):
    """A build has gone on."""

    def __init__(self, watch: BuildWatch) -> None:
        super().__init__()
        self.watch = watch

    def can_replace(self, message: Message) -> bool:
        """Only the last of several changes counts."""
        return isinstance(message, BuildChanged) and message.watch is self.watch


class BuildWatch:
    """A build and its job, as they are now.

    Attributes:
        job: The job.
        state: What its journal says.
        ended: What became of the job; None while it runs.
        compared: The build beside the one before it; None if there was none, or as long as none of
            its steps has ended.
    """

    def __init__(self, job: Job, post: Callable[[Message], object]) -> None:
        """Begins to follow.

        Args:
            job: The job.
            post: Where `BuildChanged` goes.
        """
        self.job = job
        self.state = BuildState(job.journal)
        self.ended: State | None = None
        self.compared: Compared | None = None
        self._post = post
        self._stop = threading.Event()
        run_beside("build", self._follow)

    def close(self) -> None:
        """Stops following; the job goes on."""
        self._stop.set()

    def _follow(self) -> None:
        comparison: Comparison | None = None
        while not self._stop.is_set():
            # Asked before the journal is read: what was written before the end is read after it.
            state = self.job.state
            grown = False
            with contextlib.suppress(OSError):
                grown = self.state.read()
            if state is not State.RUNNING:
                self.state.stop()
                if self.state.end is None and (reason := self.job.reason):
                    last = self.state.last_image
                    self.state.end = BuildEvent("failed", text=reason, image=last)
                self.ended = state
            if grown or self.ended is not None:
                with contextlib.suppress(OSError):
                    comparison = comparison or Comparison(self.job)
                    self.compared = comparison.look(self.state)
                self._post(BuildChanged(self))
            if self.ended is not None:
                return
            self._stop.wait(_PERIOD)
