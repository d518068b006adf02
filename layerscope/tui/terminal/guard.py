"""A small process that ends the TUI when it cannot end itself.

While C code holds the interpreter (a long sort, a search with `re`), or the main thread waits for a
terminal that accepts no output, no Python code runs: neither signal handlers nor a thread that
notices that the terminal has closed. So a child process watches the terminal. It also receives each
signal: the C part of Python's signal handling always writes its number to a socket. When the TUI is
killed, for example because memory ran out, the child restores the terminal.

The child is forked before there are threads and before Textual is imported, since it keeps its
parent's memory, and sleeps until something happens.
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
#: Seconds for the TUI to end after the terminal has closed; to answer after a signal that ends it;
#: and to end after it has answered.
_CLOSED, _UNANSWERED, _ANSWERED = 3.0, 8.0, 30.0

#: The TUI sends these when its event loop runs, when it takes the terminal, and when it releases
#: it. Other bytes are signal numbers.
_ALIVE, _TAKEN, _GIVEN = b"\0", b"\xfe", b"\xff"


#: Restores the terminal when the TUI cannot: turns off all that the driver turns on.
_RESTORE = (
    b"\x1b[m\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
    b"\x1b[?1016l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)


def end_at_once() -> None:
    """Lets signals end the process at once, while there is no terminal to restore."""
    for number, code in ENDS.items():
        signal.signal(number, lambda *_, code=code: os._exit(code))


class Guard:
    #: The guard that was started before the TUI.
    ahead: ClassVar[Guard | None] = None

    def __init__(self, terminal: int) -> None:
        """Starts the process, from the main thread; raises OSError if it cannot.

        `terminal` is the terminal's descriptor, in the state to restore.
        """
        self.socket, other = socket.socketpair()
        parent = os.getpid()
        # Not in the child, which may run only after the TUI has changed them.
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
        """Starts the guard for the terminal that the TUI is going to take, if there is one."""
        stdin = sys.__stdin__
        with suppress(OSError, ValueError):
            cls.ahead = cls(stdin.fileno()) if stdin is not None and stdin.isatty() else None

    @classmethod
    def of(cls, terminal: int) -> Guard:
        """Returns the guard of a terminal: the one started ahead, or a new one; raises OSError."""
        guard, cls.ahead = cls.ahead or cls(terminal), None
        return guard

    def listen(self, on: bool) -> None:
        """Starts or stops passing signals to the guard."""
        signal.set_wakeup_fd(self.socket.fileno() if on else -1, warn_on_full_buffer=False)

    def answer(self) -> bool:
        """Reports that the event loop runs; the loop calls it when the socket is readable.

        Returns whether the guard is still alive.
        """
        with suppress(OSError):
            if self.socket.recv(1024):
                self.socket.send(_ALIVE)
                return True
        return False

    def holds(self, taken: bool) -> None:
        """Reports whether the TUI has the terminal now."""
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
        """Runs the child; never returns, and runs none of the parent's cleanup."""
        try:
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)
            # Open copies of the parent's pipes would keep their other ends waiting.
            self._terminal, self._pipe = os.dup2(self._terminal, 0), os.dup2(self._pipe, 1)
            os.closerange(2, os.sysconf("SC_OPEN_MAX"))
            if self._must_end():
                self._end(attributes)
        finally:
            os._exit(0)

    def _must_end(self) -> bool:
        """Waits until the parent has ended, or has run out of time.

        Returns whether to kill it, or it was killed, and to restore the terminal.
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
                # Wakes the event loop, which may have gone to sleep just as the signal arrived.
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
        # A terminal that accepts no output must not keep this process alive.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(2)
        with suppress(OSError, termios.error):
            # A shell that has the terminal by now has already restored its settings.
            if _in_foreground(self._terminal):
                termios.tcflush(self._terminal, termios.TCOFLUSH)
                if attributes is not None:
                    termios.tcsetattr(self._terminal, termios.TCSANOW, attributes)
            os.write(self._terminal, _RESTORE)


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        # It is not the terminal of a session, so there is no shell.
        return True
