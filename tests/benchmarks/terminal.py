"""Runs a program in a pty: sends keys, and times, counts and shows its output.

The pty draws nothing, so only the program is measured. Output is read at once; pyte renders the
screen while the program is quiet.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyte

KEYS = {
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "enter": b"\r",
    "escape": b"\x1b",
    "tab": b"\t",
    "backspace": b"\x7f",
}
"""What a terminal sends for keys other than letters."""

#: Seconds between two reads that separate bursts; the screen is rendered between bursts.
_GAP = 0.005
_READ = 1 << 16


class TerminalTimeout(AssertionError):
    """The screen did not show what was expected; the message has the screen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The output of a program after keys were sent."""

    bytes: int
    first: float  # Seconds until the first byte; 0 if there was none.
    last: float  # Seconds until the last byte; 0 if there was none.


def terminal_environment(**changes: str) -> dict[str, str]:
    """The environment of a program in a terminal with 256 colours."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TEXTUAL", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "ESCDELAY"))
    }
    return {**environment, "TERM": "xterm-256color", **changes}


class Terminal:
    """A program in a pty."""

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        *,
        columns: int = 120,
        lines: int = 40,
    ) -> None:
        """Starts a program.

        Args:
            command: Its command line.
            environment: Its environment; by default that of `terminal_environment`.
            columns: Width of the terminal.
            lines: Height of the terminal.
        """
        self.total = 0  # Bytes of output.
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.started = time.perf_counter()  # By `time.perf_counter`.
        #: The program.
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(terminal_environment() if environment is None else environment),
            start_new_session=True,
            # So that it gets a SIGHUP when the terminal goes away.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def text(self) -> str:
        """The screen as plain text."""
        return "\n".join(self._screen.display)

    def send(self, keys: str | bytes) -> None:
        """Types a key by its name, or characters."""
        data = keys if isinstance(keys, bytes) else KEYS.get(keys, keys.encode())
        os.write(self._master, data)

    def ask(self, keys: str | bytes, *, quiet: float = 0.15, limit: float = 10.0) -> Answer:
        """Types, and waits until the program is quiet.

        Args:
            keys: As for `send`.
            quiet: Seconds without output that end the wait.
            limit: The most seconds to wait.
        """
        start = time.perf_counter()
        self.send(keys)
        return self._collect(start, quiet, limit)

    def settle(self, *, quiet: float = 0.5, limit: float = 30.0) -> Answer:
        """Waits until the program is quiet."""
        return self._collect(time.perf_counter(), quiet, limit)

    def listen(self, seconds: float) -> int:
        """Returns how many bytes the program writes on its own."""
        return self._collect(time.perf_counter(), seconds + 1, seconds).bytes

    def wait_for(
        self, shown: Callable[[str], bool], *, limit: float = 60.0, burst: bool = False
    ) -> float:
        """Waits until the screen shows something.

        Args:
            shown: Takes the text of the screen.
            limit: The most seconds to wait.
            burst: Whether to wait for the end of that burst too.

        Returns seconds from the start of the program until the output that showed it. Raises
        TerminalTimeout after the limit.
        """
        deadline = time.perf_counter() + limit
        while True:
            for stamp, data in (chunks := self._burst(deadline)):
                self._stream.feed(data)
                if shown(self.text):
                    rest = chunks[chunks.index((stamp, data)) + 1 :]
                    for _, more in rest:
                        self._stream.feed(more)
                    return (chunks[-1][0] if burst else stamp) - self.started
            if not chunks:
                ended = "the program ended" if self.process.poll() is not None else f"{limit:g} s"
                raise TerminalTimeout(f"not shown ({ended}); the screen:\n{self.text}")

    def peak_memory(self) -> int:
        """The sum of the peak memory of the program and its children, in bytes."""
        return sum(_peak(pid) for pid in _family(self.process.pid))

    def close(self) -> None:
        """Ends the program, politely first."""
        if self.process.poll() is None:
            self.process.terminate()
            deadline = time.perf_counter() + 5
            # Keep reading: it writes while it ends.
            while self.process.poll() is None and time.perf_counter() < deadline:
                if not self._read(0.05):
                    time.sleep(0.01)
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self, timeout: float) -> bytes:
        """Available output; empty after the timeout, or at the end."""
        if not select.select([self._master], [], [], max(0.0, timeout))[0]:
            return b""
        try:
            data = os.read(self._master, _READ)
        except OSError:  # On Linux: the other end is closed.
            return b""
        self.total += len(data)
        return data

    def _burst(self, deadline: float) -> list[tuple[float, bytes]]:
        """The next chunks of output in quick succession, each with its time."""
        chunks = []
        data = self._read(deadline - time.perf_counter())
        while data:
            chunks.append((time.perf_counter(), data))
            data = self._read(_GAP)
        return chunks

    def _collect(self, start: float, quiet: float, limit: float) -> Answer:
        size, first, last = 0, 0.0, start
        deadline = start + limit
        while (now := time.perf_counter()) < deadline:
            chunks = self._burst(min(deadline, max(now, last) + quiet))
            if not chunks:
                break
            first = first or chunks[0][0] - start
            last = chunks[-1][0]
            size += sum(len(data) for _, data in chunks)
            for _, data in chunks:
                self._stream.feed(data)
        return Answer(size, first, last - start)


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0
