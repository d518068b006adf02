"""Handles signals in the event loop.

A signal handler runs at any moment, even while the main thread holds the lock of the queue that it
would write to. So handlers only schedule a call in the event loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from layerscope.tui.terminal.guard import ENDS, Guard

#: Seconds before a program in the terminal that does not end is killed.
_PATIENCE = 3.0


class _Foreground:
    """The program that has the terminal instead of the TUI; at most one."""

    program: subprocess.Popen[bytes] | None = None
    ending = False  # Whether a signal that ends the TUI has arrived.

    def end(self) -> None:
        self.ending = True
        if (program := self.program) is None:
            return
        # Shells ignore SIGTERM.
        for number in (signal.SIGTERM, signal.SIGHUP):
            program.send_signal(number)
        kill = threading.Timer(_PATIENCE, program.kill)
        kill.daemon = True
        kill.start()


_foreground = _Foreground()


def run_program(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a program in the terminal, and returns its exit code.

    As in a shell, ctrl+c reaches only the program. A signal that ends the TUI ends the program
    first. Restores the terminal's settings, which a killed program leaves changed.

    Raises OSError if the program cannot start.
    """
    keyboard = (signal.SIGINT, signal.SIGQUIT)
    # Not SIG_IGN: the program would inherit it, but not handlers.
    before = [signal.signal(number, lambda *_: None) for number in keyboard]
    # The guard would wait for an answer from the event loop.
    guard = signal.set_wakeup_fd(-1)
    try:
        # The user has chosen the program.
        with (
            _settings_restored(),
            subprocess.Popen(command, env=dict(environment)) as program,  # noqa: S603
        ):
            _foreground.program = program
            if _foreground.ending:
                _foreground.end()
            return _wait(program)
    finally:
        _foreground.program = None
        signal.set_wakeup_fd(guard, warn_on_full_buffer=False)
        for number, handler in zip(keyboard, before, strict=True):
            signal.signal(number, handler)


def _wait(program: subprocess.Popen[bytes]) -> int:
    """Waits until a program has ended, and returns its exit code; stops when the program stops.

    Does not stop at ctrl+z itself: a program that ignores it would share the terminal with the
    shell.
    """
    with suppress(ChildProcessError):
        while os.WIFSTOPPED(status := os.waitpid(program.pid, os.WUNTRACED)[1]):
            os.kill(os.getpid(), signal.SIGSTOP)
        program.returncode = os.waitstatus_to_exitcode(status)
    # The sender of a signal may have noticed its end first.
    return program.wait()


@contextmanager
def _settings_restored() -> Iterator[None]:
    """Restores the settings of the terminal at stdin on exit."""
    settings: list[Any] | None = None
    with suppress(termios.error):
        settings = termios.tcgetattr(0)
    try:
        yield
    finally:
        if settings is not None:
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, settings)


class Signals:
    """Passes signals to the event loop."""

    def __init__(self, end: Callable[[int], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = end  # Ends the app with an exit code; called by the event loop.
        self._guard: Guard | None = None
        self._stop_due = False
        for number in ENDS:
            signal.signal(number, self._ended)

    def on(self, number: int, call: Callable[[], object]) -> None:
        """Calls a function in the event loop at each signal of a kind."""
        signal.signal(number, lambda *_: self._soon(call))

    def take_stops(self, stop: Callable[[], object], resume: Callable[[], object]) -> None:
        """Handles job control: the event loop releases the terminal and takes it again."""

        def stop_now() -> None:
            if self._stop_due:
                stop()
            # It may already have been continued.
            if self._stop_due:
                os.kill(os.getpid(), signal.SIGSTOP)

        def stopped(*_: object) -> None:
            if _foreground.program is None:
                self._stop_due = True
                self._soon(stop_now)

        def continued(*_: object) -> None:
            self._stop_due = False
            if _foreground.program is None:
                self._soon(resume)

        signal.signal(signal.SIGTSTP, stopped)
        signal.signal(signal.SIGCONT, continued)

    def watch(self, terminal: int) -> None:
        """Ends the process in any state once a terminal has closed; see `Guard`."""
        # Without the guard process, the TUI ends only while Python code runs.
        with suppress(OSError):
            self._guard = Guard.of(terminal)
            self._guard.listen(True)
            self._loop.add_reader(self._guard.socket, self._answer)

    def holds_terminal(self, taken: bool) -> None:
        """Reports whether the TUI has the terminal now, to restore it if the TUI is killed."""
        if self._guard is not None:
            self._guard.holds(taken)

    def close(self) -> None:
        """Ignores signals that would end the app, which has ended."""
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        if self._guard is not None:
            self._guard.close()

    def _soon(self, call: Callable[[], object]) -> None:
        # If the loop is closed, the app has ended anyway.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _ended(self, number: int, _: object) -> None:
        _foreground.end()
        self._soon(partial(self._end, ENDS[number]))

    def _answer(self) -> None:
        if self._guard is not None and not self._guard.answer():
            self._loop.remove_reader(self._guard.socket)
            self._guard.close()
            self._guard = None
