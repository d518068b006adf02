"""What runs in the process of a job: the frame around its work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.cache_folder import write_whole
from layerscope.jobs.job import CANCELLED, Job, read_job
from layerscope.jobs.journal import Event, Journal


class Cancellation:
    """The wish to stop a job.

    Handlers are called in the main thread, between two of its instructions: they end whatever
    the work waits for, such as a connection.
    """

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._handlers: list[Callable[[], None]] = []

    @property
    def wanted(self) -> bool:
        """Whether the job is to stop."""
        return self._wanted.is_set()

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
        self._wanted.set()
        for handler in self._handlers:
            # A connection that is closed already is closed.
            with contextlib.suppress(Exception):
                handler()


Work = Callable[[Job, Callable[[Event], None], Cancellation], int]


def run(argv: list[str], work: Work) -> int:
    """Does the work of a job, in the process that `launch.start` started for it.

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
    # The session has no terminal; whoever sends it means somebody else.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Journal(job.journal) as journal:
        guard = threading.Lock()

        def write(event: Event) -> None:
            with guard:
                journal.write(event)

        code = _attempt(job, work, write, wish)
    write_whole(
        folder / "result.json", json.dumps({"exit_code": code, "ended": time.time()}).encode()
    )
    return code


def _attempt(job: Job, work: Work, write: Callable[[Event], None], wish: Cancellation) -> int:
    try:
        return work(job, write, wish)
    except Cancelled:
        write({"event": "failed", "text": "Cancelled."})
        return CANCELLED
    except LayerscopeError as error:
        if wish.wanted:
            write({"event": "failed", "text": "Cancelled."})
            return CANCELLED
        write({"event": "failed", "text": str(error)})
        return error.exit_code
    except OSError as error:
        text = f"{error.strerror or error}."
        write({"event": "failed", "text": text})
        return 2
    except Exception as error:
        # For the file beside the journal; a user sees one sentence.
        traceback.print_exc()
        kind = type(error).__name__
        text = f"Something unexpected happened ({kind}). {job.folder / 'output'} has more."
        write({"event": "failed", "text": text})
        return 2
