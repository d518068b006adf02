"""The process of a command: streams, signals, threads."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from layerscope.status_line import hidden

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


def thread_failed(failure: threading.ExceptHookArgs) -> None:
    from layerscope import logs

    logs.thread_failed(failure)


def unraisable(failure: sys.UnraisableHookArgs) -> None:
    # Python would print a traceback that users cannot act on.
    if failure.exc_value is not None and "layerscope.logs" in sys.modules:
        from layerscope import logs

        logs.unexpected(failure.exc_value)


def remember_interrupts() -> list[int]:
    """Records each ctrl+c: numpy turns one during its import into an ImportError."""
    notes: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        notes.append(number)
        raise KeyboardInterrupt

    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, interrupt)
    return notes


def fill_closed_streams() -> None:
    """Opens streams that the process was started without.

    Otherwise a file that is opened later gets the number of stderr, and errors are written to it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    stderr: TextIO | None = sys.stderr
    if stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    elif isinstance(stderr, io.TextIOWrapper) and stderr is sys.__stderr__:
        narration = _Narration(2)
        sys.stderr = io.TextIOWrapper(
            narration, stderr.encoding, stderr.errors, line_buffering=True, write_through=True
        )


class _Narration(io.FileIO):
    """stderr, whose failures must not change the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)

    def write(self, data: Buffer, /) -> int:
        try:
            with hidden():
                return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return len(memoryview(data))


def want_no_threads() -> None:
    """Keeps numpy from starting a thread for each core, a third of its import time.

    `os.environ` does not change, so the user's editor and shell do not inherit the setting.
    """
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        os.putenv("OPENBLAS_NUM_THREADS", "1")


def drop_output() -> None:
    """Drops buffered output if stdout cannot be written; else Python raises again at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
