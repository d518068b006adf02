"""A small process that ends the TUI when it cannot end itself.

While C code keeps the interpreter (a long sort, a search with `re`), or the main thread waits for a
terminal that takes nothing, no Python code runs: neither signal handlers nor a thread that notices
that the terminal has closed. So a child process watches the terminal. It also hears of each signal:
the C part of Python's signal handling writes its number to a socket, whatever Python does. When the
TUI is killed, for example because memory ran out, the child gives the terminal back.

The child is forked before there are threads and before Textual is imported, as it keeps what its
parent has by then, and sleeps until something happens.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import termios
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, NoReturn

#: Signals that end the TUI, and its exit code then.
ENDS: Mapping[int, int] = {
    signal.SIGTERM: 0,
    signal.SIGHUP: 0,
    signal.SIGINT: 130,
    signal.SIGQUIT: 131,
}
#: Seconds that the TUI has to end once the terminal has closed; to answer after a signal that ends
#: it; and to end once it has answered.
_CLOSED, _UNANSWERED, _ANSWERED = 3.0, 8.0, 30.0

#: What the TUI sends when its event loop runs, when it takes the terminal, and when it gives it
#: back. Other bytes are numbers of signals.
_ALIVE, _TAKEN, _GIVEN = b"\0", b"\xfe", b"\xff"


#: What a terminal is given that the TUI could not give back: all that the driver turns on, turned
#: off.
_RESTORE = (
    b"\x1b[m\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
    b"\x1b[?1016l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)


def end_at_once() -> None:
    """Lets signals end the process at once, while there is nothing to give back."""
    for number, code in ENDS.items():
        signal.signal(number, lambda *_, code=code: os._exit(code))


class Guard:
    #: The guard that was started before there was a TUI.
    ahead: ClassVar[Guard | None] = None

    def __init__(self, terminal: int) -> None:
        """Starts it, in the main thread; raises OSError if there can be no other process.

        `terminal` is the terminal's descriptor, in the state that it is to be given back in.
        """
        self.socket, other = socket.socketpair()
        parent = os.getpid()
        # Not in the child, which may start only after the TUI has changed them.
        attributes = None
        with suppress(termios.error):
            attributes = termios.tcgetattr(terminal)
        self._process = os.fork()
        if not self._process:
            _Child(parent, terminal, other.detach()).run(attributes)
        other.close()
        self.socket.setblocking(False)

    @classmethod
    def start_ahead(cls) -> None:
        """Starts it for the terminal that the TUI is going to take, if there is one."""
        stdin = sys.__stdin__
        with suppress(OSError, ValueError):
            cls.ahead = cls(stdin.fileno()) if stdin is not None and stdin.isatty() else None

    @classmethod
    def of(cls, terminal: int) -> Guard:
        """The guard of a terminal: the one started ahead, or a new one; raises OSError."""
        guard, cls.ahead = cls.ahead or cls(terminal), None
        return guard

    def listen(self, on: bool) -> None:
        """Lets the guard hear of signals, or not."""
        signal.set_wakeup_fd(self.socket.fileno() if on else -1, warn_on_full_buffer=False)

    def answer(self) -> bool:
        """Says that the event loop runs; for the loop, when the socket can be read.

        Returns whether there still is a guard.
        """
        with suppress(OSError):
            if self.socket.recv(1024):
                self.socket.send(_ALIVE)
                return True
        return False

    def holds(self, taken: bool) -> None:
        """Says whether the TUI has the terminal now."""
        with suppress(OSError):
            self.socket.send(_TAKEN if taken else _GIVEN)

    def close(self) -> None:
        self.listen(False)
        self.socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)


class _Child:
    def __init__(self, parent: int, terminal: int, pipe: int) -> None:
        self._parent, self._terminal, self._pipe = parent, terminal, pipe

    def run(self, attributes: list[Any] | None) -> NoReturn:
        """Never returns, and runs nothing that belongs to the parent."""
        try:
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)
            # Its copies of the parent's pipes would keep their other ends waiting.
            self._terminal, self._pipe = os.dup2(self._terminal, 0), os.dup2(self._pipe, 1)
            os.closerange(2, os.sysconf("SC_OPEN_MAX"))
            if self._must_end():
                self._end(attributes)
        finally:
            os._exit(0)

    def _must_end(self) -> bool:
        """Waits until the parent has ended, or had its time to end.

        Returns whether it must be killed, or was, and the terminal given back.
        """
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        poll.register(self._terminal, 0)
        deadline, closed, taken = 0.0, False, False
        while True:
            left = max(0.0, deadline - time.monotonic()) * 1000 if deadline else None
            events = [fd for fd, _ in poll.poll(left)]
            if deadline and time.monotonic() >= deadline:
                return True
            if self._terminal in events:
                poll.unregister(self._terminal)
                closed, deadline = True, time.monotonic() + _CLOSED
                os.kill(self._parent, signal.SIGTERM)
            if self._pipe not in events:
                continue
            data = os.read(self._pipe, 1024)
            if not data:
                return taken and not closed
            given, again = data.rfind(_GIVEN), data.rfind(_TAKEN)
            taken = again > given or (taken and given < 0)
            if data.strip(_ALIVE + _TAKEN + _GIVEN):
                # Wakes the event loop, which may have gone to sleep just when the signal came.
                os.write(self._pipe, _ALIVE)
            if closed:
                continue
            if not deadline and not ENDS.keys().isdisjoint(data):
                deadline = time.monotonic() + _UNANSWERED
            elif deadline and _ALIVE in data:
                deadline = time.monotonic() + _ANSWERED

    def _end(self, attributes: list[Any] | None) -> None:
        if os.getppid() == self._parent:
            os.kill(self._parent, signal.SIGKILL)
        with suppress(OSError):
            while os.read(self._pipe, 1024):
                pass
        # A terminal that takes nothing does not keep this process.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(2)
        with suppress(OSError, termios.error):
            # A shell that has the terminal by now has restored its settings, and made its own.
            if _in_foreground(self._terminal):
                termios.tcflush(self._terminal, termios.TCOFLUSH)
                if attributes is not None:
                    termios.tcsetattr(self._terminal, termios.TCSANOW, attributes)
            os.write(self._terminal, _RESTORE)


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        # It is not the terminal of a session, which has no shell then.
        return True
