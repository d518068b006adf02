"""Background work: one mechanism for everything that takes longer than a key may.

Work runs in a daemon thread; what it finds comes back to the thread of the screen. In each group,
the newest work wins: older work is cancelled, and its results are dropped.
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

#: Calls a function soon in the thread of the screen: `call_later` of a screen or widget.
Deliver = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as people read it."""

    message: str  # What happened.
    hint: str  # What to do; may be empty.
    cancelled: bool = False  # Whether the user cancelled the work.
    choices: tuple[str, ...] = ()  # Sources of which one may have been meant.
    platforms: tuple[str, ...] = ()  # Platforms of the image, where the wanted one is missing.
    login: str = ""  # The registry that requires a login, or another one.
    missing: str = ""  # What the engine does not have, as a reference that a registry may know.

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
        #: How far it has come; `progress.advance` raises `Cancelled` once it is cancelled.
        self.progress = progress or Progress()
        self.running = True  # Whether it is still going on.
        self._deliver = deliver
        self._report = report
        self._left = threading.Event()
        self._waiting: list[U] = []
        self._lock = threading.Lock()
        self._due = 0.0
        self.stopped = False  # Whether it should stop.
        self._stops: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Stops the work at its next check, which reports it as cancelled."""
        self.stopped = True
        self.progress.cancel()
        for stop in self._stops:
            stop()

    def leave(self) -> None:
        """Stops the work at its next check; nothing more is heard of it."""
        self._left.set()
        self.cancel()

    def on_stop(self, call: Callable[[], object]) -> None:
        """Calls a function when the work is stopped, to end what it waits for; perhaps twice."""
        self._stops.append(call)
        if self.stopped:
            call()

    @property
    def left(self) -> bool:
        return self._left.is_set()

    def check(self) -> None:
        """Raises `Cancelled` if the work is to stop."""
        self.progress.advance(self.progress.done)

    def wait(self, seconds: float) -> None:
        """Sleeps, unless nobody waits for the work any more; raises Cancelled if it is to stop."""
        self._left.wait(seconds)
        self.check()

    def report(self, value: U, every: float = 0) -> None:
        """Hands the screen a result so far, at most one in `every` seconds; it sees the newest."""
        now = time.monotonic()
        if every and now < self._due:
            return
        self._due = now + every
        with self._lock:
            waiting, self._waiting = bool(self._waiting), [value]
        if not waiting:
            self.deliver(self.hand_over)

    def deliver(self, call: Callable[..., object], *arguments: object) -> None:
        """Calls a function in the thread of the screen, if that is still there."""
        # The loop may have been closed while the work was running.
        with suppress(RuntimeError):
            self._deliver(call, *arguments)

    def hand_over(self) -> None:
        """Gives the screen what was reported last; called in its thread."""
        with self._lock:
            values, self._waiting = self._waiting, []
        if values and self._report is not None and not self.left:
            self._report(values[0])


class Work:
    def __init__(self, deliver: Deliver, failed: Callable[[Problem], object]) -> None:
        self._deliver = deliver  # Calls a function in the screen's thread, from any thread.
        self._failed = failed  # Reports an error, for work that does not do it itself.
        self._tasks: dict[str, Task[Any]] = {}
        self._queued: dict[str, Callable[[], object]] = {}

    def start(
        self,
        group: str,
        run: Callable[[Task[U]], T],  # Does the work, in a thread.
        done: Callable[[T], object] | None = None,  # Takes the result, in the screen's thread.
        *,
        #: Takes the error instead of the owner's own `failed`; cancelling is one, too.
        failed: Callable[[Problem], object] | None = None,
        report: Callable[[U], object] | None = None,
        progress: Progress | None = None,  # Where the task notes its progress, if not its own.
    ) -> Task[U]:
        """Runs a function in the background, in place of what its group did before."""
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
                # What fails because it was stopped, with a file closed for example, was cancelled.
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

        For work that cannot be stopped, or whose result is of use although it is out of date. Of
        several functions that are queued, only the newest is run.
        """
        start = partial(self.start, group, run, done, failed=failed, report=report)
        if group in self._tasks:
            self._queued[group] = start
        else:
            start()

    def busy(self, group: str) -> bool:
        return group in self._tasks

    def cancel(self, group: str) -> None:
        """Stops work at its next check; `failed` hears of it."""
        self._queued.pop(group, None)
        if group in self._tasks:
            self._tasks[group].cancel()

    def leave(self, group: str | None = None) -> None:
        """Stops the work of a group, or all work, and forgets it."""
        for name in [group] if group is not None else list(self._tasks):
            self._queued.pop(name, None)
            task = self._tasks.pop(name, None)
            if task is not None:
                task.leave()


def problem_of(error: BaseException, cancelled: str = "Cancelled.") -> Problem:
    """What to say of an error; an unforeseen one goes to the log with its traceback."""
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
    """Runs work, which must not raise, in a thread that does not keep the program from ending.

    Textual waits for its own thread workers at the end, and one that waits for an engine that does
    not answer would hold up a user who only wants to leave.
    """
    thread = threading.Thread(target=work, name=f"layerscope-{name}", daemon=True)
    thread.start()
    return thread


class _GarbagePause:
    """Counts who wants no garbage collection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        with self._lock:
            if not self._holders:
                # What is garbage now must not stay with the rest.
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
#: For work that makes a great many objects that stay: each collection meanwhile would go through
#: all of them, and delay the keys for as long. Later collections leave them out.
without_garbage_collection = _pause.hold
#: Collects what `without_garbage_collection` left out, once it is needed no more.
collect_garbage = _pause.collect
