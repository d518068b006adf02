"""Processes several blobs in parallel."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from layerscope.errors import Cancelled
from layerscope.jobs.worker import Cancellation

Check = Callable[[], None]
T = TypeVar("T")

#: Docker's limit for pulls and pushes.
_MOST = 4
_PERIOD = 0.1


def in_parallel(tasks: Sequence[Callable[[Check], T]], cancellation: Cancellation) -> list[T]:
    """Runs tasks, a few at a time, and returns their results in order.

    Each task gets a function that raises once the job is cancelled or another task has failed.
    Raises the error of the first failed task. Others may then still wait for bytes, in daemon
    threads.
    """
    stopped = threading.Event()

    def check() -> None:
        if stopped.is_set():
            raise Cancelled
        cancellation.check()

    waiting = list(enumerate(tasks))[::-1]
    ended: queue.SimpleQueue[tuple[int, T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                number, task = waiting.pop()
            except IndexError:
                return
            try:
                ended.put((number, task(check), None))
            except BaseException as error:
                ended.put((number, None, error))
                return

    for number in range(min(_MOST, len(tasks))):
        threading.Thread(target=work, name=f"layerscope-blob-{number}", daemon=True).start()
    results: dict[int, T] = {}
    try:
        while len(results) < len(tasks):
            try:
                number, result, error = ended.get(timeout=_PERIOD)
            except queue.Empty:
                cancellation.check()
                continue
            if error is not None:
                cancellation.check()
                raise error
            results[number] = result  # type: ignore[assignment]
    finally:
        stopped.set()
    return [results[number] for number in range(len(tasks))]
