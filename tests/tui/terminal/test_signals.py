"""Signals at bad moments, terminals that close while nothing can react, sizes that are not true."""

from __future__ import annotations

import os
import re
import signal
import termios
import time
from pathlib import Path

import pytest

from layerscope.tui.terminal.compat import believable
from tests.tui.terminal.programs import (
    CODE,
    Terminal,
    left_as_it_was,
    processes_with,
    start,
    with_editor,
)

#: What `?` does to the app, which then reacts to nothing.
_STUCK = {
    "an expression": "re.match('(a+)+b', 'a' * 60)",
    "a long sort": "sorted(map(Slow, range(9, 0, -1)))",
    "another thread": "threading.Thread(target=re.match, args=('(a+)+b', 'a' * 60)).start()",
    "a terminal that takes nothing": "[self.send('x' * 9999) for _ in range(9999)]",
}


def stuck(how: str) -> str:
    """The program, with a key that keeps it busy forever."""
    return CODE.replace(
        "sys.exit(app.run(",
        f"""
import re, threading
class Slow(str):
    def __lt__(self, other):
        return re.match('(a+)+b', 'a' * 60)
def hang(self):
    self.send("\\x1b]0;stuck\\x07")
    self.set_timer(0.5, lambda: {_STUCK[how]})
app.LayerscopeApp.action_help = hang
sys.exit(app.run(""",
    )


def until_gone(ui: Terminal, terminal: str) -> None:
    """Waits until the program and what it started have ended."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if ui.process.poll() is not None and not processes_with(terminal):
            return
        time.sleep(0.1)
    raise AssertionError(f"{ui.process.poll()}, {processes_with(terminal)}")


@pytest.mark.parametrize("how", _STUCK)
def test_a_closed_terminal_ends_what_reacts_to_nothing(terminals: list[Terminal], how: str) -> None:
    terminals.append(ui := start(code=stuck(how)))
    name = ui.name
    ui.until("index.html")
    os.write(ui.fd, b"?")
    ui.until_written(b"\x1b]0;stuck\x07")
    time.sleep(1)
    assert ui.process.poll() is None
    os.close(ui.fd)
    until_gone(ui, name)


@pytest.mark.parametrize("how", ["an expression", "a terminal that takes nothing"])
def test_a_signal_ends_what_reacts_to_nothing(terminals: list[Terminal], how: str) -> None:
    terminals.append(ui := start(code=stuck(how)))
    ui.until("index.html")
    os.write(ui.fd, b"?")
    ui.until_written(b"\x1b]0;stuck\x07")
    time.sleep(1)
    ui.process.send_signal(signal.SIGTERM)
    if how == "an expression":
        assert ui.wait() == -signal.SIGKILL
    else:
        assert ui.process.wait(120) == -signal.SIGKILL
    ui.read(3)
    assert left_as_it_was(ui.output)
    assert termios.tcgetattr(ui.fd)[3] & termios.ECHO


def test_a_tui_that_is_killed_gives_the_terminal_back(terminals: list[Terminal]) -> None:
    """As the kernel does when memory runs out."""
    shell = "import os, time\nif os.fork():\n    os.wait()\n    time.sleep(2)\n    os._exit(3)\n"
    terminals.append(ui := start(code=f"{shell}{CODE}"))
    before = termios.tcgetattr(ui.fd)
    ui.until("index.html")
    pid = ui.process.pid
    os.kill(int(Path(f"/proc/{pid}/task/{pid}/children").read_text()), signal.SIGKILL)
    assert ui.wait() == 3
    assert left_as_it_was(ui.output)
    assert termios.tcgetattr(ui.fd)[:4] == before[:4]


def test_a_tui_that_is_killed_while_it_is_stopped_writes_nothing(
    terminals: list[Terminal],
) -> None:
    """Another program may have the terminal."""
    terminals.append(ui := start())
    name = ui.name
    ui.until("index.html")
    ui.process.send_signal(signal.SIGTSTP)
    end = time.monotonic() + 120
    while ui.state != "T":
        assert time.monotonic() < end
        ui.read(0.2)
    written = len(ui.output)
    ui.process.kill()
    ui.process.wait(120)
    while processes_with(name):
        assert time.monotonic() < end
        time.sleep(0.1)
    ui.read(1)
    assert len(ui.output) == written


def test_a_continue_without_a_stop_gives_the_terminal_back(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    for _ in range(3):
        ui.process.send_signal(signal.SIGCONT)
        ui.read()
    ui.keys("?")
    ui.until("Around an image")
    ui.keys("\x1b")
    os.write(ui.fd, b"qq")
    assert ui.wait() == 0
    assert left_as_it_was(ui.output)
    assert termios.tcgetattr(ui.fd)[3] & termios.ECHO


def test_a_stop_that_is_taken_back_at_once(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    for _ in range(5):
        ui.process.send_signal(signal.SIGTSTP)
        ui.process.send_signal(signal.SIGCONT)
    ui.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 120
    while ui.process.poll() is None and time.monotonic() < end:
        # On a busy machine it may stop later, also after the other signal.
        if ui.state == "T":
            ui.process.send_signal(signal.SIGCONT)
        ui.read(0.1)
    assert ui.wait() == 0
    assert left_as_it_was(ui.output)


_EDITOR = with_editor(
    """
        import os
        from layerscope.tui.terminal.signals import run_program
        run_program(["sh", "-c", os.environ["SCRIPT"]], os.environ)
"""
)


@pytest.mark.parametrize("script", ["", "trap '' TERM; ", "trap '' TERM HUP; "])
def test_a_signal_ends_the_program_that_has_the_terminal(
    terminals: list[Terminal], script: str
) -> None:
    terminals.append(ui := start(code=_EDITOR, SCRIPT=f"{script}echo here; sleep 1000 & wait"))
    name = ui.name
    ui.until("index.html")
    os.write(ui.fd, b"?")
    ui.until_written(b"here")
    ui.process.send_signal(signal.SIGTERM)
    assert ui.wait() == 0
    assert left_as_it_was(ui.output)
    for pid in processes_with(name):
        os.kill(pid, signal.SIGKILL)


def test_a_program_that_is_killed_does_not_leave_its_settings(terminals: list[Terminal]) -> None:
    """A pager that has put the terminal into raw mode, for example."""
    terminals.append(ui := start(code=_EDITOR, SCRIPT="stty raw -echo; echo here; kill -9 $$"))
    before = termios.tcgetattr(ui.fd)
    ui.until("index.html")
    os.write(ui.fd, b"?")
    ui.until_written(b"here")
    ui.until("index.html")
    os.write(ui.fd, b"q")
    assert ui.wait() == 0
    assert termios.tcgetattr(ui.fd)[:4] == before[:4]


def test_ctrl_c_is_for_the_program_that_has_the_terminal(terminals: list[Terminal]) -> None:
    script = "trap 'echo caught; exit' INT; echo here; while :; do sleep 0.1; done"
    terminals.append(ui := start(code=_EDITOR, SCRIPT=script))
    ui.until("index.html")
    os.write(ui.fd, b"?")
    ui.until_written(b"here")
    os.write(ui.fd, b"\x03")
    ui.until_written(b"caught")
    ui.until("index.html")
    ui.process.send_signal(signal.SIGINT)
    assert ui.wait() == 130


def test_ctrl_z_does_not_stop_the_app_alone(terminals: list[Terminal]) -> None:
    """The program would share the terminal with the shell: less ignores it when it is secure."""
    script = "trap '' TSTP; echo here; read answer; echo got $answer; sleep 1"
    terminals.append(ui := start(code=_EDITOR, SCRIPT=script))
    ui.until("index.html")
    os.write(ui.fd, b"?")
    ui.until_written(b"here")
    os.write(ui.fd, b"\x1a")
    ui.read(1)
    os.write(ui.fd, b"it\n")
    ui.until_written(b"got it")
    assert ui.state != "T"
    ui.until("index.html")
    os.write(ui.fd, b"q")
    assert ui.wait() == 0


def test_the_app_stops_when_the_program_stops(terminals: list[Terminal]) -> None:
    terminals.append(ui := start(code=_EDITOR, SCRIPT="kill -STOP $$; echo back; sleep 1"))
    ui.until("index.html")
    ui.stop("?")
    os.killpg(ui.process.pid, signal.SIGCONT)
    ui.until_written(b"back")
    ui.until("index.html")
    os.write(ui.fd, b"q")
    assert ui.wait() == 0


@pytest.mark.parametrize("size", [(0, 0), (0, 24), (80, 0), (65535, 65535)])
def test_a_size_that_is_not_true(terminals: list[Terminal], size: tuple[int, int]) -> None:
    terminals.append(ui := start(size=size))
    ui.until("index.html")
    ui.resize(100, 30)
    ui.until("index.html")
    assert re.search(r"^╰.*╯$", ui.text.split("\n")[-2])
    os.write(ui.fd, b"q")
    assert ui.wait() == 0
    assert b"Traceback" not in ui.output


@pytest.mark.parametrize("columns", ["", "rubbish", "-1", "0", "100000", "40"])
def test_the_size_of_the_terminal_goes_before_the_environment(
    terminals: list[Terminal], columns: str
) -> None:
    terminals.append(ui := start(COLUMNS=columns, LINES=columns))
    ui.until("index.html")
    assert {len(line.rstrip()) for line in ui.text.split("\n")[1:-1]} == {100}
    ui.process.send_signal(signal.SIGTERM)
    assert ui.wait() == 0


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (40, 3), (2, 200)])
def test_a_tiny_terminal(terminals: list[Terminal], size: tuple[int, int]) -> None:
    terminals.append(ui := start(size=size))
    ui.until_written(b"\x1b[?1049h")
    ui.read(3)
    for key in "?\x1b/x\x1b\x10\x1bt3EG\x0f\x1b":
        os.write(ui.fd, key.encode())
        ui.read(0.1)
    # It comes to rest.
    assert any(ui.read(2) == b"" for _ in range(60))
    ui.resize(100, 30)
    ui.until("╮")
    ui.process.send_signal(signal.SIGTERM)
    assert ui.wait() == 0
    assert b"Traceback" not in ui.output


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], (80, 24)),
        ([(0, 0)], (80, 24)),
        ([(0, 50), (132, 0)], (132, 50)),
        ([(100_000, 100_000)], (80, 24)),
        ([(1, 1)], (1, 1)),
        ([(-1, 30)], (80, 30)),
    ],
)
def test_the_first_believable_size(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert believable(*sizes) == expected
