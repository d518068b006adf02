"""The program in a real terminal: start, signals, a line that hangs up, kinds of terminals."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest

_CODE = """
import sys
from layerscope.tui import app
from tests.tui import fakes
connect = fakes.connector(fakes.NO_ENGINE if "no-engine" in sys.argv else None)
app._connect = connect
app._open_image = fakes.opener(fakes.FakeReader())
sys.exit(app.run(None if "images" in sys.argv else "hello:latest"))
"""
_ROOT = Path(__file__).parents[2]


@dataclass
class Terminal:
    """A program in a terminal."""

    process: subprocess.Popen[bytes]
    fd: int
    size: tuple[int, int]
    output: bytes = b""
    screen: pyte.Screen = field(init=False)
    stream: pyte.ByteStream = field(init=False)

    def __post_init__(self) -> None:
        self.screen = pyte.Screen(*self.size)
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

    def until(self, text: str, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            if text in self.text:
                self.read()
                return
        raise AssertionError(f"{text!r} did not come; the terminal shows:\n{self.text}")

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def keys(self, keys: str) -> bytes:
        os.write(self.fd, keys.encode())
        return self.read()

    def wait(self, seconds: float = 10.0) -> int:
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


def start(*arguments: str, size: tuple[int, int] = (100, 30), **environment: str) -> Terminal:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    env = {
        **{k: v for k, v in os.environ.items() if k not in ("COLORTERM", "NO_COLOR", "TEXTUAL")},
        "TERM": "xterm-256color",
        "PYTHONPATH": str(_ROOT),
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    return Terminal(process, master, size)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Terminals that are closed at the end."""
    running: list[Terminal] = []
    yield running
    for terminal in running:
        if terminal.process.poll() is None:
            terminal.process.kill()
        terminal.process.wait()
        with contextlib.suppress(OSError):
            os.close(terminal.fd)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def test_a_session_from_start_to_quit(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("Docker 28.5.1")
    ui.until("index.html")
    ui.keys("j")
    assert "layer 2" in ui.text
    ui.keys("3/passwd\r")
    assert "1 match" in ui.text
    assert ui.keys("") == b""
    assert ui.read(1.5) == b""
    ui.keys("q")
    assert ui.wait() == 0
    assert left_as_it_was(ui.output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_cleanly(terminals: list[Terminal], number: signal.Signals) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    ui.process.send_signal(number)
    assert ui.wait() == 0
    assert left_as_it_was(ui.output)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_ends_it(terminals: list[Terminal], ignored: bool) -> None:
    code = _CODE
    if ignored:
        # As under nohup: nobody tells the program but the terminal itself.
        code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + _CODE.replace(
            "sys.exit(", "app.signal.SIGHUP = app.signal.SIGTERM; sys.exit("
        )
    terminals.append(ui := _start_code(code))
    ui.until("index.html")
    os.close(ui.fd)
    end = time.monotonic() + 10
    while ui.process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert ui.process.poll() is not None, f"{cpu_seconds(ui.process.pid)} s of a core"


def _start_code(code: str) -> Terminal:
    global _CODE
    kept, _CODE = _CODE, code
    try:
        return start()
    finally:
        _CODE = kept


def test_suspend_and_come_back(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    ui.keys("\x1a")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        state = Path(f"/proc/{ui.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "T":
            break
        ui.read(0.05)
    assert state == "T"
    ui.read()
    assert left_as_it_was(ui.output)
    ui.process.send_signal(signal.SIGCONT)
    ui.until("index.html")
    ui.keys("j")
    assert "layer 2" in ui.text


@pytest.mark.parametrize("term", ["linux", "screen", "tmux-256color", "xterm"])
def test_terminals_of_all_kinds(terminals: list[Terminal], term: str) -> None:
    terminals.append(ui := start(TERM=term, size=(80, 24)))
    ui.until("index.html")
    colours = re.findall(rb"\x1b\[[0-9;]*m", ui.output)
    assert b"38;2;" not in b"".join(colours)
    assert (b"38;5;" in b"".join(colours)) == term.endswith("256color")
    ui.keys("j3j")
    assert "layer 2" in ui.text


def test_no_color_means_no_colour(terminals: list[Terminal]) -> None:
    terminals.append(ui := start(NO_COLOR="1"))
    ui.until("index.html")
    ui.keys("j3j")
    for code in re.findall(rb"\x1b\[([0-9;]*)m", ui.output):
        assert not re.search(rb"(^|;)([34][0-7]|9[0-7]|10[0-7]|[34]8;)", code), code


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_is_refused_in_one_line(terminals: list[Terminal], term: str) -> None:
    terminals.append(ui := start(TERM=term))
    assert ui.wait() == 2
    ui.read()
    assert ui.output.count(b"\n") == 1
    assert b"layerscope inspect" in ui.output


def test_no_terminal_is_refused_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "TERM": "xterm"},
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert not done.stdout


def test_nothing_heavy_is_imported_before_the_first_paint() -> None:
    code = (
        "import sys, layerscope.tui.app as app; app.LayerscopeApp('x');"
        "print([m for m in ('numpy', 'docker', 'requests', 'pygments.lexers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=_ROOT, timeout=30, check=True
    )
    assert done.stdout.strip() == b"[]"
