"""Connects the user's terminal to that of a command in the sandbox.

The command gets a separate terminal: with the user's, it could inject input into the user's shell.
"""

from __future__ import annotations

import fcntl
import os
import signal
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from layerscope.writing import write_all

_PIECE = 1 << 16


@contextmanager
def raw_terminal(stdin: int) -> Iterator[None]:
    """Sets raw mode during the block."""
    if not os.isatty(stdin):
        yield
        return
    before = termios.tcgetattr(stdin)
    tty.setraw(stdin)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


class Relay:
    """Copies input to the command's terminal, and its output to the user's."""

    def __init__(self, master: int, stdin: int, stdout: int) -> None:
        self._master, self._stdin, self._stdout = master, stdin, stdout
        self.watched = [master, stdin]  # Descriptors to wait for.
        self._before = None
        self._resize()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGWINCH, lambda *_: self._resize())

    def _resize(self) -> None:
        with suppress(OSError):
            size = fcntl.ioctl(self._stdin, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def copy(self, ready: int) -> None:
        """Copies available data from a descriptor."""
        try:
            data = os.read(ready, _PIECE)
        except OSError:  # The other end is closed.
            data = b""
        if not data:
            self.watched.remove(ready)
            return
        write_all(self._stdout if ready == self._master else self._master, data)

    def finish(self) -> None:
        """Copies the remaining output, and closes the command's terminal."""
        os.set_blocking(self._master, False)
        while self._master in self.watched:
            self.copy(self._master)
        os.close(self._master)
        if self._before is not None:
            signal.signal(signal.SIGWINCH, self._before)
