"""Background work: one mechanism for everything that is too slow for a key press.

Work runs in a daemon thread; results return to the screen's thread. In each group, the newest work
wins: older work is cancelled, and its results are dropped.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from layerscope import logs
from layerscope.errors import (
    AmbiguousError,
    Cancelled,
    LoginError,
    MissingImageError,
    PlatformMissingError,
)
from layerscope.images.progress import Progress

T = TypeVar("T")
U = TypeVar("U")

#: Calls a function in the screen's thread: `call_later` of a screen or widget.
Deliver = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error to show."""

    message: str  # What happened.
    hint: str  # What to do; may be empty.
    cancelled: bool = False  # Whether the user cancelled the work.
    choices: tuple[str, ...] = ()  # Sources that the user may have meant.
    platforms: tuple[str, ...] = ()  # Platforms of the image, if the requested one is missing.
    login: str = ""  # The registry that requires a login, or a different one.
    missing: str = ""  # The reference that the engine lacks, which a registry may have.

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class Task(Generic[U]):
    """A piece of background work."""

    def __init__(
        self,
        deliver: Deliver,
        report: Callable[[U], object] | None,
        progress: Progress | None = None,
    ) -> None:
        #: `progress.advance` raises `Cancelled` once the task is cancelled.
        self.progress = progress or Progress()
        self.running = True
        self._deliver = deliver
        self._report = report
        self._left = threading.Event()
        self._waiting: list[U] = []
        self._lock = threading.Lock()
        self._due = 0.0
        self.stopped = False  # Whether it should stop.
        self._stops: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Stops the work at its next check, and reports it as cancelled."""
        self.stopped = True
        self.progress.cancel()
        for stop in self._stops:
            stop()

    def leave(self) -> None:
        """Stops the work at its next check, and drops its results."""
        self._left.set()
        self.cancel()

    def on_stop(self, call: Callable[[], object]) -> None:
        """Calls a function, perhaps twice, when the work is stopped, to end what it waits for."""
        self._stops.append(call)
        if self.stopped:
            call()

    @property
    def left(self) -> bool:
        return self._left.is_set()

    def check(self) -> None:
        """Raises `Cancelled` if the work should stop."""
        self.progress.advance(self.progress.done)

    def wait(self, seconds: float) -> None:
        """Sleeps at most some seconds; raises `Cancelled` if the work should stop."""
        self._left.wait(seconds)
        self.check()

    def report(self, value: U, every: float = 0) -> None:
        """Sends the screen the newest partial result, at most one in `every` seconds."""
        now = time.monotonic()
        if every and now < self._due:
            return
        self._due = now + every
        with self._lock:
            waiting, self._waiting = bool(self._waiting), [value]
        if not waiting:
            self.deliver(self.hand_over)

    def deliver(self, call: Callable[..., object], *arguments: object) -> None:
        """Calls a function in the screen's thread, if the screen still exists."""
        # The loop may have closed while the work was running.
        with suppress(RuntimeError):
            self._deliver(call, *arguments)

    def hand_over(self) -> None:
        """Delivers the last report; called in the screen's thread."""
        with self._lock:
            values, self._waiting = self._waiting, []
        if values and self._report is not None and not self.left:
            self._report(values[0])


class Work:
    def __init__(self, deliver: Deliver, failed: Callable[[Problem], object]) -> None:
        self._deliver = deliver  # Calls a function in the screen's thread, from any thread.
        self._failed = failed  # Reports errors of work without its own handler.
        self._tasks: dict[str, Task[Any]] = {}
        self._queued: dict[str, Callable[[], object]] = {}

    def start(
        self,
        group: str,
        run: Callable[[Task[U]], T],  # Called in a thread.
        done: Callable[[T], object]
        | None = None,  # Called with the result, in the screen's thread.
        *,
        #: Handles errors, cancellation too, instead of the owner's `failed`.
        failed: Callable[[Problem], object] | None = None,
        report: Callable[[U], object] | None = None,
        progress: Progress | None = None,  # A progress to use instead of a new one.
    ) -> Task[U]:
        """Runs a function in the background, replacing the current work of its group."""
        self.leave(group)
        task = self._tasks[group] = Task(self._deliver, report, progress)

        def end(take: Callable[[Any], object] | None, value: object) -> None:
            task.running = False
            if not task.left:
                if self._tasks.get(group) is task:
                    del self._tasks[group]
                # The last report comes before the end.
                task.hand_over()
                following = self._queued.pop(group, None)
                if following is not None:
                    following()
                if take is not None:
                    take(value)

        def work() -> None:
            try:
                result = run(task)
            except BaseException as error:
                # An error after a stop, from a closed file for example, means cancelled.
                problem = problem_of(Cancelled() if task.stopped else error)
                task.deliver(end, failed or self._failed, problem)
            else:
                task.deliver(end, done, result)

        run_in_background(group, work)
        return task

    def queue(
        self,
        group: str,
        run: Callable[[Task[U]], T],
        done: Callable[[T], object] | None = None,
        *,
        failed: Callable[[Problem], object] | None = None,
        report: Callable[[U], object] | None = None,
    ) -> None:
        """Like `start`, but lets the current work of the group end first.

        For work that cannot be stopped, or whose result is useful even if out of date. Of several
        queued functions, only the newest runs.
        """
        start = partial(self.start, group, run, done, failed=failed, report=report)
        if group in self._tasks:
            self._queued[group] = start
        else:
            start()

    def busy(self, group: str) -> bool:
        return group in self._tasks

    def cancel(self, group: str) -> None:
        """Stops work at its next check, and calls `failed`."""
        self._queued.pop(group, None)
        if group in self._tasks:
            self._tasks[group].cancel()

    def leave(self, group: str | None = None) -> None:
        """Stops the work of a group, or all work, and drops its results."""
        for name in [group] if group is not None else list(self._tasks):
            self._queued.pop(name, None)
            task = self._tasks.pop(name, None)
            if task is not None:
                task.leave()


def problem_of(error: BaseException, cancelled: str = "Cancelled.") -> Problem:
    """Converts an error; logs an unexpected one with its traceback."""
    if isinstance(error, Cancelled):
        return Problem(cancelled, "", cancelled=True)
    if isinstance(error, AmbiguousError):
        return Problem(error.message, "", choices=error.choices)
    if isinstance(error, PlatformMissingError):
        return Problem(error.message, error.hint, platforms=error.platforms)
    if isinstance(error, LoginError):
        return Problem(error.message, error.hint, login=error.domain)
    if isinstance(error, MissingImageError):
        return Problem(error.message, error.hint, missing=error.reference)
    failure = logs.failure_of(error)
    return Problem(failure.message, failure.hint)


def run_in_background(name: str, work: Callable[[], None]) -> threading.Thread:
    """Runs work, which must not raise, in a daemon thread.

    Textual waits for its own thread workers at exit, so one that waits for an engine that does not
    answer would block quitting.
    """
    thread = threading.Thread(target=work, name=f"layerscope-{name}", daemon=True)
    thread.start()
    return thread


class _GarbagePause:
    """Pauses garbage collection while anyone needs it paused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        with self._lock:
            if not self._holders:
                # Removes current garbage before the rest is frozen.
                gc.collect(1)
                gc.disable()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                gc.freeze()
                if not self._holders:
                    gc.enable()

    def collect(self) -> None:
        with self._lock:
            gc.unfreeze()
            gc.collect()
            gc.freeze()


_pause = _GarbagePause()
#: For work that creates many objects that stay: each collection would scan all of them, and delay
#: keys. Later collections skip them.
without_garbage_collection = _pause.hold
#: Collects the objects that `without_garbage_collection` excluded, once they are not needed.
collect_garbage = _pause.collect
