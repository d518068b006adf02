"""Programs in terminals of their own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyte

from layerscope.tui.terminal.compat import believable
from tests.tui.terminal.emulator import Emulator

CODE = """
import sys
from layerscope.tui import app
from tests.tui import fakes
connect = fakes.connector(fakes.NO_ENGINE if "no-engine" in sys.argv else None)
app._connect = connect
app._open_image = fakes.opener(fakes.FakeReader())
sys.exit(app.run(None if "images" in sys.argv else "hello:latest"))
"""


def with_editor(lines: str) -> str:
    """The program, with lines that run in place of its help while it has given the terminal up."""
    edit = f"def edit(self):\n    with self.suspend():{lines}app.LayerscopeApp.action_help = edit\n"
    return CODE.replace("sys.exit(app.run(", f"{edit}sys.exit(app.run(")


ROOT = Path(__file__).parents[3]


@dataclass
class Terminal:
    """A program in a terminal."""

    process: subprocess.Popen[bytes]
    fd: int
    size: tuple[int, int]
    output: bytes = b""
    environment: dict[str, str] = field(default_factory=dict)
    screen: Emulator = field(init=False)
    stream: pyte.ByteStream = field(init=False)

    def __post_init__(self) -> None:
        colored = self.environment.get("TERM", "xterm").startswith(("xterm", "linux"))
        self.screen = Emulator(*self.size, erases_in_color=colored, scrolls=True)
        self.stream = pyte.ByteStream(self.screen)

    def read(self, quiet: float = 0.2) -> bytes:
        """What the program writes until it is quiet."""
        got = b""
        while select.select([self.fd], [], [], quiet)[0]:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                break
            if not piece:
                break
            got += piece
        self.output += got
        # Pyte knows neither the Kitty keyboard protocol nor pointer shapes.
        self.stream.feed(re.sub(rb"\x1b\[[<>=][0-9;]*[a-z]|\x1b\]22;[^\x07]*\x07", b"", got))
        return got

    def until(self, text: str, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            if text in self.text:
                self.read()
                return
        raise AssertionError(f"{text!r} did not come; the terminal shows:\n{self.text}")

    def look(self) -> object:
        """What it shows once nothing more comes: details follow when the cursor rests."""
        while self.read(1.5):
            pass
        return self.screen.look()

    def until_looks(self, look: object) -> None:
        end = time.monotonic() + 120
        while self.screen.look() != look:
            assert time.monotonic() < end, self.text
            self.read(0.05)

    def until_written(self, data: bytes) -> None:
        end = time.monotonic() + 120
        while data not in self.output:
            assert time.monotonic() < end, self.output[-2000:]
            self.read(0.05)

    @property
    def name(self) -> str:
        """The terminal's file."""
        return str(Path(f"/proc/{self.process.pid}/fd/0").readlink())

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def keys(self, keys: str) -> bytes:
        os.write(self.fd, keys.encode())
        return self.read()

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)
        # What is shown meanwhile is up to the terminal.
        self.screen.scramble()

    def stop(self, keys: str) -> None:
        """Types what suspends it, and shows what a shell would."""
        os.write(self.fd, keys.encode())
        end = time.monotonic() + 120
        while self.state != "T":
            assert time.monotonic() < end, self.text
            self.read(0.05)
        self.read()
        self.screen.scramble()

    @property
    def state(self) -> str:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]

    def wait(self, seconds: float = 120.0) -> int:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return self.process.returncode
            with contextlib.suppress(OSError):
                self.read(0.05)
        raise AssertionError("the program does not end")


def take_terminal() -> None:
    """Makes the terminal the one that tells this process of a hang-up."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def start(
    *arguments: str,
    size: tuple[int, int] = (100, 30),
    code: str = "",
    module: str = "",
    **environment: str,
) -> Terminal:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    env = {
        **{k: v for k, v in os.environ.items() if k not in ("COLORTERM", "NO_COLOR", "TEXTUAL")},
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, *(("-c", code or CODE) if not module else ("-m", module)), *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    return Terminal(process, master, believable(size), environment=environment)


def left_as_it_was(output: bytes) -> bool:
    """Whether the screen, the cursor, the mouse and the keyboard were given back."""
    return all(
        output.rfind(off) > output.rfind(on)
        for on, off in (
            (b"\x1b[?1049h", b"\x1b[?1049l"),
            (b"\x1b[?25l", b"\x1b[?25h"),
            (b"\x1b[?1003h", b"\x1b[?1003l"),
            (b"\x1b[?2004h", b"\x1b[?2004l"),
        )
    )


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processes_with(fd_target: str) -> list[int]:
    """Processes that have a file open."""
    found = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if any(str(fd.readlink()) == fd_target for fd in folder.iterdir()):
                found.append(int(folder.parent.name))
    return found
