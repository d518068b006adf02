"""The program in a real terminal: start, signals, a line that hangs up, kinds of terminals."""

from __future__ import annotations

import base64
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

from tests.tui.emulator import Emulator

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
    environment: dict[str, str] = field(default_factory=dict)
    screen: Emulator = field(init=False)
    stream: pyte.ByteStream = field(init=False)

    def __post_init__(self) -> None:
        colored = self.environment.get("TERM", "xterm").startswith(("xterm", "linux"))
        self.screen = Emulator(*self.size, erases_in_color=colored)
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

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)
        # What is shown meanwhile is up to the terminal.
        self.screen.scramble()

    def stop(self, keys: str) -> None:
        """Types what suspends it, and shows what a shell would."""
        os.write(self.fd, keys.encode())
        end = time.monotonic() + 10
        while self.state != "T":
            assert time.monotonic() < end, self.text
            self.read(0.05)
        self.read()
        self.screen.scramble()

    @property
    def state(self) -> str:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]

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


def start(
    *arguments: str, size: tuple[int, int] = (100, 30), code: str = "", **environment: str
) -> Terminal:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    env = {
        **{k: v for k, v in os.environ.items() if k not in ("COLORTERM", "NO_COLOR", "TEXTUAL")},
        "TERM": "xterm-256color",
        "PYTHONPATH": str(_ROOT),
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", code or _CODE, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    return Terminal(process, master, size, environment=environment)


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


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130), (signal.SIGQUIT, 131)],
)
@pytest.mark.parametrize("early", [False, True])
def test_signals_end_it_cleanly(
    terminals: list[Terminal], number: signal.Signals, code: int, early: bool
) -> None:
    terminals.append(ui := start())
    if early:
        # The terminal has just been taken over, and nothing is painted yet.
        while b"\x1b[?1049h" not in ui.output:
            ui.read(0.001)
    else:
        ui.until("index.html")
    ui.process.send_signal(number)
    assert ui.wait() == code
    ui.read()
    assert left_as_it_was(ui.output)
    # What it wrote last, it wrote with the terminal's own pen.
    assert re.findall(rb"\x1b\[[0-9;]*m", ui.output)[-1] == b"\x1b[m"
    assert b"Traceback" not in ui.output


def test_bytes_that_are_no_utf8_end_nothing(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    os.write(ui.fd, b"\xff\xe9\x80" * 20)
    ui.read()
    ui.keys("/")
    os.write(ui.fd, b"\x1b[200~ind\xe9\x1b[201~")
    ui.until("Nothing matches.")
    assert "ind\N{REPLACEMENT CHARACTER}" in ui.text
    ui.keys("\x1b")
    ui.until("index.html")
    os.write(ui.fd, b"q")
    assert ui.wait() == 0
    assert b"Traceback" not in ui.output


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_ends_it(terminals: list[Terminal], ignored: bool) -> None:
    code = _CODE
    if ignored:
        # As under nohup: nobody tells the program but the terminal itself.
        code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + _CODE.replace(
            "sys.exit(", "app.signal.SIGHUP = app.signal.SIGTERM; sys.exit("
        )
    terminals.append(ui := start(code=code))
    ui.until("index.html")
    os.close(ui.fd)
    end = time.monotonic() + 10
    while ui.process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert ui.process.poll() is not None, f"{cpu_seconds(ui.process.pid)} s of a core"


def test_suspend_and_come_back(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    ui.stop("\x1a")
    assert left_as_it_was(ui.output)
    ui.process.send_signal(signal.SIGCONT)
    ui.until("index.html")
    ui.keys("j")
    assert "layer 2" in ui.text


def test_a_paste_in_one_read_with_the_key_that_opens_the_filter(
    terminals: list[Terminal],
) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    os.write(ui.fd, b"/\x1b[200~inde\x1b[201~x")
    ui.until("3 Files · layer 3 · /index ", seconds=5)


#: What is typed into both terminals: letters, escape, mouse and wheel reports, a paste, focus.
_SESSION = (
    *(
        "j",
        "j",
        "\x1b[<0;10;7M\x1b[<0;10;7m",
        "t",
        "3",
        "G",
        "g",
        "E",
        "\x1b[6~",
        "\x1b[<65;10;20M",
    ),
    *(
        "/",
        "p",
        "y",
        "\x7f",
        "\x1b[D",
        "\r",
        "\x1b",
        "?",
        "\x1b",
        "\x10",
        "the",
        "\r",
        "\x1b[B",
        "\r",
    ),
    *(
        "z",
        "\x1b[B",
        "z",
        "s",
        "S",
        "a",
        "\x1b[I",
        "1",
        "\x1b[B",
        "\x1b",
        "resize",
        "j",
        "stop",
        "k",
    ),
    *("\x0c", "2", "k"),
)
#: Where the cursor is matters, though nobody sees it: input methods look there.
_TYPED = ("/", "p", "y", "\x7f", "\x1b[D", "the")


@pytest.mark.parametrize("term", ["xterm-256color", "screen"])
def test_cells_show_what_textual_shows(terminals: list[Terminal], term: str) -> None:
    both = [start(TERM=term, LAYERSCOPE_OUTPUT=way) for way in ("plain", "cells")]
    terminals += both
    plain, ours = both
    for ui in both:
        ui.until("index.html")
    for step in _SESSION:
        for ui in both:
            if step == "resize":
                ui.resize(90, 26)
            elif step == "stop":
                ui.stop("\x1a")
                ui.process.send_signal(signal.SIGCONT)
            else:
                os.write(ui.fd, step.encode())
            ui.read()
        end = time.monotonic() + 5
        while plain.screen.look() != ours.screen.look() and time.monotonic() < end:
            for ui in both:
                ui.read(0.1)
        assert plain.screen.look() == ours.screen.look(), (step, plain.text, ours.text)
        if step in _TYPED:
            spots = [(ui.screen.cursor.x, ui.screen.cursor.y) for ui in both]
            assert spots[0] == spots[1], step
    assert len(ours.output) < len(plain.output) / 2
    for ui in both:
        ui.keys("q")
        assert ui.wait() == 0
        assert left_as_it_was(ui.output)


_EDITOR = _CODE.replace(
    "sys.exit(app.run(",
    """
def edit(self):
    with self.suspend():
        sys.__stderr__.write("\\x1b[7;31m" + "an editor was here " * 60)
        sys.__stderr__.flush()
app.LayerscopeApp.action_help = edit
sys.exit(app.run(""",
)


def test_after_an_editor_everything_is_drawn_again(terminals: list[Terminal]) -> None:
    terminals.append(ui := start(code=_EDITOR))
    ui.until("index.html")
    before = ui.screen.look()
    ui.keys("?")
    ui.read(0.5)
    assert b"an editor was here" in ui.output
    assert ui.screen.look() == before


def test_a_terminal_resized_there_and_back_is_drawn_again(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    before = ui.screen.look()
    ui.resize(80, 24)
    ui.resize(100, 30)
    ui.read(0.5)
    assert ui.screen.look() == before


def test_ctrl_l_mends_what_others_wrote(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    before = ui.screen.look()
    ui.screen.scramble()
    ui.keys("\x0c")
    assert ui.screen.look() == before


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


def settings_in(folder: Path, text: str) -> str:
    (folder / "layerscope").mkdir()
    (folder / "layerscope" / "config.toml").write_text(text)
    return str(folder)


def test_settings_apply_and_what_is_wrong_is_told(
    terminals: list[Terminal], tmp_path: Path
) -> None:
    text = 'ascii = true\nmouse = false\nthme = "x"\n[keys]\nmain.union = "U"\n'
    terminals.append(ui := start(XDG_CONFIG_HOME=settings_in(tmp_path, text), size=(150, 30)))
    ui.until("index.html")
    assert "+- 2 Layers" in ui.text
    assert "config.toml, line 3: there is no setting 'thme'" in ui.screen.display[-1]
    assert b"\x1b[?1003h" not in ui.output
    ui.keys("U")
    assert "united" in ui.text
    assert "U Union" in ui.text
    ui.keys("q")
    assert ui.wait() == 0
    # On the terminal again, for whoever has missed it.
    before, _, _ = ui.output.partition(b"\x1b[?1049h")
    assert b"config.toml, line 3" in before


@pytest.mark.parametrize(
    ("environment", "mark"),
    [
        ({"LC_ALL": "C"}, "+- 2 Layers"),
        ({"LANG": "de_DE.ISO-8859-1", "LC_ALL": "", "LC_CTYPE": ""}, "+- 2 Layers"),
        ({"LAYERSCOPE_ASCII": "1"}, "+- 2 Layers"),
        ({"TERM": "linux"}, "┌─ 2 Layers"),
        ({"LC_ALL": "C", "LAYERSCOPE_ASCII": "0"}, "╭─ 2 Layers"),
    ],
)
def test_characters_fit_the_terminal(
    terminals: list[Terminal], environment: dict[str, str], mark: str
) -> None:
    terminals.append(ui := start(size=(100, 30), **environment))
    ui.until("index.html")
    assert mark in ui.text
    ui.keys("jt3Ej?")
    if mark.startswith("+"):
        assert ui.output.isascii()


@pytest.mark.parametrize("around", ["", "TMUX", "STY"])
def test_a_copy_reaches_the_terminal(terminals: list[Terminal], around: str) -> None:
    environment = {"TMUX": "", "STY": ""} | ({around: "1"} if around else {})
    terminals.append(ui := start(size=(100, 30), **environment))
    ui.until("index.html")
    output = ui.keys("yr")
    data = base64.b64encode(b"hello:latest")
    bare = b"\x1b]52;c;" + data + b"\x07"
    wrapped = {"TMUX": b"\x1bPtmux;\x1b" + bare + b"\x1b\\", "STY": b"\x1bP" + bare + b"\x1b\\"}
    assert wrapped.get(around, bare) in output
    assert output.count(data) == (2 if around == "TMUX" else 1)
    assert "Sent the image reference, 12 bytes, to the terminal; it may refuse." in ui.text


def test_a_theme_goes_before_no_color(terminals: list[Terminal]) -> None:
    terminals.append(ui := start(NO_COLOR="1", LAYERSCOPE_THEME="dark"))
    ui.until("index.html")
    assert b"38;5;" in ui.output


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


_PAINTED = """
import os, sys
from layerscope import cli
from layerscope.tui._textual_compat import TerminalDriver
write = TerminalDriver.write
def painted(self, data):
    write(self, data)
    # What is written before asks the terminal what it can do; the screen is much longer.
    if len(data) > 1000:
        with open(sys.argv[1] + ".part", "w") as file:
            file.write("\\n".join(sys.modules))
        os.rename(sys.argv[1] + ".part", sys.argv[1])
        os._exit(0)
TerminalDriver.write = painted
cli.main([sys.argv[2]])
"""

#: What the first paint can do without: others' first names, and ours.
_LATER = {"numpy", "docker", "requests", "urllib3", "pygments", "zstandard", "isal"}
_LATER |= {"markdown_it", "tomllib", "cryptography", "sqlite3", "ctypes"}
_OURS_LATER = (
    *("build", "content", "dockerfile", "engines", "jobs", "oci"),
    *("filesystem.changeset", "filesystem.stack", "images.cache", "images.loading"),
    *("tui.palette_entries", "tui.jump", "tui.help", "tui.clipboard", "tui.outside"),
    *("tui.screens.palette", "tui.screens.help", "tui.screens.content", "tui.screens.build"),
    *("tui.screens.diff", "tui.screens.jump", "tui.screens.versions"),
)


def test_nothing_heavy_is_imported_before_the_first_paint(
    tmp_path: Path, terminals: list[Terminal]
) -> None:
    told = tmp_path / "modules"
    terminals.append(ui := start(str(told), str(tmp_path / "i.tar"), code=_PAINTED))
    assert ui.wait() == 0
    modules = told.read_text().splitlines()
    assert "layerscope.tui.screens.main" in modules
    heavy = {name for name in modules if name.partition(".")[0] in _LATER}
    ours = tuple(f"layerscope.{name}" for name in _OURS_LATER)
    assert not heavy | {name for name in modules if name.startswith(ours)}
