"""What runs in the process of a job: the frame around its work."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar, cast

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.jobs.job import CANCELLED, Job, read_job
from layerscope.jobs.journal import Event, Journal
from layerscope.jobs.result import give_back, write_result
from layerscope.text import visible

#: Seconds that work may take to end once it is to stop; after them, the process ends without it.
_GRACE = 3.0
#: Seconds between two looks whether it has.
_PERIOD = 0.2
#: The same while something is asked.
_ASKED = 0.1

T = TypeVar("T")


class Cancellation:
    """The wish to stop a job.

    Handlers are called in whatever thread has the wish, between two instructions of the main one
    if it came by a signal: they end whatever the work waits for, such as a connection.
    """

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._handlers: list[Callable[[], None]] = []
        self._until = math.inf
        #: Whom the work depends on, for the case that it is not heard of again.
        self.partner = ""

    @property
    def wanted(self) -> bool:
        """Whether the job is to stop."""
        return self._wanted.is_set()

    @property
    def overdue(self) -> bool:
        """Whether it should have stopped by now."""
        return time.monotonic() > self._until

    def allow(self, seconds: float) -> None:
        """Gives work that is to stop more time, for what it has to put right."""
        self._until = max(self._until, time.monotonic() + seconds)

    def ask(self, question: Callable[[], T]) -> T:
        """Asks what may never be answered, as long as the job is not to stop.

        Raises:
            Cancelled: It is to stop; the question is left alone.
        """
        answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def wait() -> None:
            try:
                answers.put((question(), None))
            except BaseException as error:
                answers.put((None, error))

        self.check()
        threading.Thread(target=wait, name="layerscope-question", daemon=True).start()
        while True:
            try:
                answer, error = answers.get(timeout=_ASKED)
            except queue.Empty:
                self.check()
                continue
            if error is not None:
                raise error
            return cast("T", answer)

    def check(self) -> None:
        """Raises `Cancelled` if the job is to stop."""
        if self._wanted.is_set():
            raise Cancelled

    def on_cancel(self, handler: Callable[[], None]) -> None:
        """Has a function called when the job is to stop, or at once if it is already."""
        self._handlers.append(handler)
        if self._wanted.is_set():
            handler()

    def cancel(self) -> None:
        """Asks the job to stop."""
        if self._wanted.is_set():
            return
        self._until = time.monotonic() + _GRACE
        self._wanted.set()
        for handler in self._handlers:
            # A connection that is closed already is closed.
            with contextlib.suppress(Exception):
                handler()


Work = Callable[[Job, Callable[[Event], None], Cancellation], int]


def run(argv: list[str], work: Work) -> int:
    """Does the work of a job, in the process that `launch.start` started for it.

    The work is done in a thread: if it is to stop and waits for something that never comes, the
    process ends without it.

    Args:
        argv: The job's folder, and the descriptor of its lock.
        work: Does it: given the job, where its events go, and the wish to stop it; returns an exit
            code. A `LayerscopeError` that it raises is told as an event `failed` with its text.

    Returns:
        The exit code.
    """
    folder, lock = Path(argv[0]), int(argv[1])
    # Held until the process ends; not by those that it starts.
    os.set_inheritable(lock, False)
    job = read_job(folder)
    if job is None:
        return 2
    wish = Cancellation()

    def stop(number: int, frame: FrameType | None) -> None:
        wish.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    # Held back since before this process was there.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    # The session has no terminal; whoever sends it means somebody else.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Journal(job.journal) as journal:
        told = _Telling(job, journal, wish)
        codes: list[int] = []
        thread = threading.Thread(
            target=lambda: codes.append(_attempt(job, work, told, wish)),
            name="layerscope-work",
            daemon=True,
        )
        thread.start()
        while thread.is_alive() and not wish.overdue:
            thread.join(_PERIOD)
        if codes:
            code = codes[0]
        else:
            more = f" {wish.partner} did not answer; what it began may go on." * bool(wish.partner)
            code = _failed(told, wish, f"Cancelled.{more}")
        told.close()
    # Nothing can be told where the folder is gone or the disk is broken; whoever follows learns
    # from the lock that it is over.
    with contextlib.suppress(OSError):
        write_result(folder, code, time.time(), told.problem)
    return code


class _Telling:
    """Takes the events of a job, as long as its journal does; what cannot be told is not done.

    Attributes:
        problem: Why the journal takes nothing more; empty as long as it does.
    """

    def __init__(self, job: Job, journal: Journal, wish: Cancellation) -> None:
        self.problem = ""
        self._job = job
        self._journal = journal
        self._wish = wish
        self._guard = threading.Lock()
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Appends an event.

        Raises:
            OSError: That is not possible; the job is to stop.
        """
        with self._guard:
            if self._closed or self.problem:
                raise OSError(self.problem or "The job is over.")
            try:
                self._journal.write(event)
                return
            except OSError as error:
                self.problem = _problem(self._job, error)
        self._wish.cancel()
        raise OSError(self.problem)

    def last(self, event: Event) -> None:
        """Appends the event that the job ends with, for which room has been set aside."""
        with self._guard, contextlib.suppress(OSError):
            if self.problem:
                give_back(self._job.folder)
            if not self._closed:
                self._closed = True
                self._journal.write(event)

    def close(self) -> None:
        """Takes nothing more."""
        with self._guard:
            self._closed = True


def _problem(job: Job, error: OSError) -> str:
    folder = visible(str(job.folder.parent))
    return (
        f"What the {job.kind} says cannot be kept in {folder} ({error.strerror or error}), so it "
        "was stopped. Make room there, or set XDG_STATE_HOME to another folder."
    )


def _attempt(job: Job, work: Work, told: _Telling, wish: Cancellation) -> int:
    try:
        return work(job, told, wish)
    except Cancelled:
        return _failed(told, wish, "")
    except LayerscopeError as error:
        return _failed(told, wish, str(error), error.exit_code)
    except OSError as error:
        name = f"{visible(str(error.filename))}: " if error.filename else ""
        return _failed(told, wish, f"{name}{error.strerror or error}.")
    except Exception as error:
        # For the file beside the journal, if the disk takes it; a user sees one sentence.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        kind = type(error).__name__
        more = visible(str(job.folder / "output"))
        return _failed(told, wish, f"Something unexpected happened ({kind}). {more} has more.")


def _failed(told: _Telling, wish: Cancellation, text: str, code: int = 2) -> int:
    """Tells how a job ended that made nothing, and gives its exit code."""
    if told.problem:
        text, code = told.problem, 2
    elif wish.wanted:
        text, code = text if text.startswith("Cancelled") else "Cancelled.", CANCELLED
    told.last({"event": "failed", "text": text})
    return code
