"""The program in a real terminal: start, signals, a line that hangs up, kinds of terminals."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tui.terminal.programs import (
    CODE,
    ROOT,
    Terminal,
    cpu_seconds,
    left_as_it_was,
    start,
    with_editor,
)


def test_a_session_from_start_to_quit(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("Docker 28.5.1")
    ui.until("index.html")
    ui.keys("j")
    ui.until("layer 2")
    ui.keys("3/passwd\r")
    ui.until("1 match")
    ui.read(1)
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
    code = CODE
    if ignored:
        # As under nohup: only the terminal itself shows that it is closed.
        code = CODE.replace(
            "sys.exit(",
            "from layerscope.tui.terminal import signals as s; import signal;"
            "s.ENDS = {n: code for n, code in s.ENDS.items() if n != signal.SIGHUP};"
            "signal.signal(signal.SIGHUP, signal.SIG_IGN); sys.exit(",
        )
    terminals.append(ui := start(code=code))
    ui.until("index.html")
    os.close(ui.fd)
    end = time.monotonic() + 120
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
    ui.until("layer 2")


def test_a_paste_in_one_read_with_the_key_that_opens_the_filter(
    terminals: list[Terminal],
) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    os.write(ui.fd, b"/\x1b[200~inde\x1b[201~x")
    ui.until("layer 3 · 1 match · /index ")


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
#: What a step shows that takes its time: modules are imported for it.
_SHOWN = {"?": "Around an image", "\x10": "What do you want to do?"}
#: Where the cursor is matters, though nobody sees it: input methods look there.
_TYPED = ("/", "p", "y", "\x7f", "\x1b[D", "the")


def check_same(plain: Terminal, ours: Terminal, step: str, *, typed: bool = False) -> None:
    """Waits until both terminals look the same, with the cursor at one place where it matters."""

    def seen(ui: Terminal) -> tuple[object, object]:
        return ui.screen.look(), typed and (ui.screen.cursor.x, ui.screen.cursor.y)

    end = time.monotonic() + 60
    while True:
        written = len(plain.output) + len(ours.output)
        for ui in (plain, ours):
            ui.read(0.2)
        # Both have been still for a while: a key that comes right behind escape would be alt+key.
        still = written == len(plain.output) + len(ours.output)
        if time.monotonic() > end or (still and seen(plain) == seen(ours)):
            break
    assert seen(plain) == seen(ours), (step, plain.text, ours.text)


@pytest.mark.parametrize("term", ["xterm-256color", "screen"])
def test_cells_show_what_textual_shows(terminals: list[Terminal], term: str) -> None:
    both = [start(TERM=term, LAYERSCOPE_OUTPUT=way) for way in ("plain", "cells")]
    terminals += both
    plain, ours = both
    for ui in both:
        ui.until("index.html")
    check_same(plain, ours, "the start")
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
            if step in _SHOWN:
                ui.until(_SHOWN[step])
        check_same(plain, ours, step, typed=step in _TYPED)
    assert len(ours.output) < len(plain.output) / 2
    for ui in both:
        ui.keys("q")
        assert ui.wait() == 0
        assert left_as_it_was(ui.output)


_EDITOR = with_editor(
    """
        sys.__stderr__.write("\\x1b[7;31m" + "an editor was here " * 60)
        sys.__stderr__.flush()
"""
)


def test_after_an_editor_everything_is_drawn_again(terminals: list[Terminal]) -> None:
    terminals.append(ui := start(code=_EDITOR))
    ui.until("index.html")
    before = ui.look()
    ui.keys("?")
    ui.until_written(b"an editor was here")
    ui.until_looks(before)


def test_a_terminal_resized_there_and_back_is_drawn_again(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    before = ui.look()
    ui.resize(80, 24)
    ui.resize(100, 30)
    ui.until_looks(before)


def test_ctrl_l_mends_what_others_wrote(terminals: list[Terminal]) -> None:
    terminals.append(ui := start())
    ui.until("index.html")
    before = ui.look()
    ui.screen.scramble()
    ui.keys("\x0c")
    ui.until_looks(before)


@pytest.mark.parametrize("term", ["linux", "screen", "tmux-256color", "xterm"])
def test_terminals_of_all_kinds(terminals: list[Terminal], term: str) -> None:
    terminals.append(ui := start(TERM=term, size=(80, 24)))
    ui.until("index.html")
    colours = re.findall(rb"\x1b\[[0-9;]*m", ui.output)
    assert b"38;2;" not in b"".join(colours)
    assert (b"38;5;" in b"".join(colours)) == term.endswith("256color")
    ui.keys("j3j")
    ui.until("layer 2")


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
    text = 'ascii = true\nmouse = false\nthme = "x"\n[keys]\nmain.union = "X"\n'
    terminals.append(ui := start(XDG_CONFIG_HOME=settings_in(tmp_path, text), size=(150, 30)))
    ui.until("index.html")
    assert "+- 2 Layers" in ui.text
    # The sentence may go over two lines.
    ui.until("no setting 'thme'")
    assert b"\x1b[?1003h" not in ui.output
    ui.keys("X")
    ui.until("merged view of")
    ui.until("X This layer")
    ui.keys("q")
    assert ui.wait() == 0
    # It is repeated on the terminal.
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
    ui.keys("yr")
    ui.until("Copied the image reference, 12 bytes (your terminal may block it).")
    data = base64.b64encode(b"hello:latest")
    bare = b"\x1b]52;c;" + data + b"\x07"
    wrapped = {"TMUX": b"\x1bPtmux;\x1b" + bare + b"\x1b\\", "STY": b"\x1bP" + bare + b"\x1b\\"}
    assert wrapped.get(around, bare) in ui.output
    assert ui.output.count(data) == (2 if around == "TMUX" else 1)


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
        [sys.executable, "-c", CODE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert not done.stdout


_PAINTED = """
import os, sys
from layerscope import cli
from layerscope.tui.terminal.compat import TerminalDriver
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
    reported = tmp_path / "modules"
    terminals.append(ui := start(str(reported), str(tmp_path / "i.tar"), code=_PAINTED))
    assert ui.wait() == 0
    modules = reported.read_text().splitlines()
    assert "layerscope.tui.explore.screen" in modules
    heavy = {name for name in modules if name.partition(".")[0] in _LATER}
    ours = tuple(f"layerscope.{name}" for name in _OURS_LATER)
    assert not heavy | {name for name in modules if name.startswith(ours)}
