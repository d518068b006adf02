"""Runs the work of a job in its process: signals, events, the result."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar, cast

from layerscope import logs
from layerscope.errors import Cancelled, UsageError
from layerscope.jobs.job import CANCELLED, Job, read_job, release_reserve, write_result
from layerscope.jobs.journal import Event, Journal, Write
from layerscope.text import visible

#: Seconds for cancelled work to end; then the process ends without it.
_GRACE = 3.0
#: Seconds between checks whether the work has ended, and whether a question is cancelled.
_PERIOD = 0.2
_QUESTION_PERIOD = 0.1

T = TypeVar("T")


class Cancellation:
    """Cancels the work of a job.

    Handlers run in the cancelling thread; for a signal, in the main thread. They end what the work
    waits for, such as a connection.
    """

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._handlers: list[Callable[[], None]] = []
        self._until = math.inf
        self.waits_for = ""  # What the work waits for, for a sentence if it never answers.

    @property
    def wanted(self) -> bool:
        return self._wanted.is_set()

    @property
    def overdue(self) -> bool:
        return time.monotonic() > self._until

    def allow(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)

    def ask(self, question: Callable[[], T]) -> T:
        """Calls a function that may never return in a thread.

        If the job is cancelled, abandons the thread and raises Cancelled.
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
                answer, error = answers.get(timeout=_QUESTION_PERIOD)
            except queue.Empty:
                self.check()
                continue
            if error is not None:
                raise error
            return cast("T", answer)

    def check(self) -> None:
        if self._wanted.is_set():
            raise Cancelled

    def on_cancel(self, handler: Callable[[], None]) -> None:
        """Calls a function when the job is cancelled, or now if it already is."""
        self._handlers.append(handler)
        if self._wanted.is_set():
            handler()

    def cancel(self) -> None:
        if self._wanted.is_set():
            return
        self._until = time.monotonic() + _GRACE
        self._wanted.set()
        for handler in self._handlers:
            # A connection may be closed already.
            with contextlib.suppress(Exception):
                handler()


Work = Callable[[Job, Write, Cancellation], int]


def run(argv: list[str], work: Work) -> int:
    """Does the work of a job, in the process that `launch.start` started.

    The work runs in a thread: if it is cancelled while it is stuck, the process ends without it.

    `argv` is the job's folder and the descriptor of its lock. `work` gets the job, a function that
    writes an event, and the cancellation, and returns the exit code; a `LayerscopeError` becomes a
    `failed` event with its text.
    """
    folder, lock = Path(argv[0]), int(argv[1])
    # Held until this process ends, but not inherited by its children.
    os.set_inheritable(lock, False)
    job = read_job(folder)
    if job is None:
        return 2
    threading.excepthook = logs.thread_failed
    # The job works without a log.
    with contextlib.suppress(UsageError):
        logs.start()
    cancellation = Cancellation()

    def stop(number: int, frame: FrameType | None) -> None:
        cancellation.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    # The parent process has blocked them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    # There is no terminal that could hang up.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Journal(job.journal) as journal:
        events = _Events(job, journal, cancellation)
        codes: list[int] = []
        thread = threading.Thread(
            target=lambda: codes.append(_attempt(job, work, events, cancellation)),
            name="layerscope-work",
            daemon=True,
        )
        thread.start()
        while thread.is_alive() and not cancellation.overdue:
            thread.join(_PERIOD)
        if codes:
            code = codes[0]
        else:
            whom = cancellation.waits_for
            more = f" {whom} did not answer; what it began may go on." if whom else ""
            code = _failed(events, cancellation, f"Cancelled.{more}")
        events.close()
    # If the folder is gone or the disk fails, the lock still shows that the job has ended.
    with contextlib.suppress(OSError):
        write_result(folder, code, time.time(), events.problem)
    return code


class _Events:
    """Writes the events of a job; cancels the job if the journal cannot be written."""

    def __init__(self, job: Job, journal: Journal, cancellation: Cancellation) -> None:
        self.problem = ""  # Why the journal cannot be written, or "".
        self._job = job
        self._journal = journal
        self._cancellation = cancellation
        self._guard = threading.Lock()
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Appends an event; on failure, cancels the job and raises OSError."""
        with self._guard:
            if self._closed or self.problem:
                raise OSError(self.problem or "The job is over.")
            try:
                self._journal.write(event)
                return
            except OSError as error:
                folder = visible(str(self._job.folder.parent))
                self.problem = (
                    f"The log of the {self._job.kind} cannot be kept in {folder} "
                    f"({error.strerror or error}), so it was stopped. "
                    "Make room there, or set XDG_STATE_HOME to another folder."
                )
        self._cancellation.cancel()
        raise OSError(self.problem)

    def last(self, event: Event) -> None:
        """Appends the last event, if necessary into the reserved space."""
        with self._guard, contextlib.suppress(OSError):
            if self.problem:
                release_reserve(self._job.folder)
            if not self._closed:
                self._closed = True
                self._journal.write(event)

    def close(self) -> None:
        with self._guard:
            self._closed = True


def _attempt(job: Job, work: Work, events: _Events, cancellation: Cancellation) -> int:
    try:
        return work(job, events, cancellation)
    except Cancelled as error:
        return _failed(events, cancellation, str(error))
    except Exception as error:
        # Written to the file `output` if possible; the user sees one sentence.
        with contextlib.suppress(OSError):
            sys.stderr.write(logs.described(error))
            sys.stderr.flush()
        failure = logs.failure_of(error, str(job.folder / "output"))
        return _failed(events, cancellation, str(failure), failure.exit_code)


def _failed(events: _Events, cancellation: Cancellation, text: str, code: int = 2) -> int:
    """Writes the end of a job without a result, and returns its exit code."""
    if events.problem:
        text, code = events.problem, 2
    elif cancellation.wanted:
        text, code = text if text.startswith("Cancelled") else "Cancelled.", CANCELLED
    events.last({"event": "failed", "text": text})
    return code
