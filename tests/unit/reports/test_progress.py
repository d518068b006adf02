"""Progress on stderr: on a terminal only, below what is printed, and erased in the end."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from layerscope import output, status_line
from layerscope.reports import progress as shown
from tests.archives import layer, saved, write
from tests.command import environment


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Puts stdout and stderr on one terminal, where progress is shown at once."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(shown, "_PATIENCE", 0.0)
    monkeypatch.setattr(shown, "PERIOD", 0.01)
    monkeypatch.setattr(status_line, "PERIOD", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    return screen


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def screen_of(text: str) -> list[str]:
    """The lines that a terminal shows after a text."""
    return [line.rpartition("\r\x1b[K")[2] for line in text.split("\n")]


def test_what_is_done_is_shown_and_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with shown.shown_progress("Comparing") as progress:
        _wait(lambda: screen_of(terminal.getvalue()) == ["Comparing…"])
        progress.done, progress.total = 5_000_000, 10_000_000
        _wait(lambda: screen_of(terminal.getvalue()) == ["Comparing: 5MB of 10MB"])
        progress.total = None
        _wait(lambda: screen_of(terminal.getvalue()) == ["Comparing: 5MB"])
    assert screen_of(terminal.getvalue()) == [""]


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_without_escape_sequences_gets_none(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    terminal = a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", term)
    with status_line.StatusLine() as line:
        line.show("Comparing…")
    assert terminal.getvalue() == ""


def test_a_part_is_shown_instead_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with shown.shown_progress("Searching"):
        _wait(lambda: screen_of(terminal.getvalue()) == ["Searching…"])
        with shown.shown_progress("Reading"):
            _wait(lambda: screen_of(terminal.getvalue()) == ["Reading…"])
        _wait(lambda: screen_of(terminal.getvalue()) == ["Searching…"])
    assert screen_of(terminal.getvalue()) == [""]


def test_lines_are_printed_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with shown.shown_progress("Searching"):
        for number in range(3):
            _wait(lambda: screen_of(terminal.getvalue())[-1] == "Searching…")
            output.write_lines([f"match {number}"])
    assert screen_of(terminal.getvalue()) == ["match 0", "match 1", "match 2", ""]


def test_hostile_text_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with shown.shown_progress("a\x1b[31m"):
        _wait(lambda: screen_of(terminal.getvalue()) == ["a\\e[31m…"])


def test_nothing_is_shown_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shown, "_PATIENCE", 0.0)
    with shown.shown_progress("Comparing"):
        time.sleep(0.01)
    assert capsys.readouterr().err == ""


_SLOW = """
import sys, time
from layerscope import cli, status_line
from layerscope.images.archives import archive
from layerscope.reports import progress
progress._PATIENCE = 0
progress.PERIOD = status_line.PERIOD = 0.01
changesets = archive.ArchiveReader.changesets
def slow(self, *args):
    end = time.monotonic() + 60
    while status_line._on_screen is None and time.monotonic() < end:
        time.sleep(0.01)
    print("a warning", file=sys.stderr)
    return changesets(self, *args)
archive.ArchiveReader.changesets = slow
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "IMAGE"),
        ("waste", "IMAGE"),
        ("files", "IMAGE"),
        ("find", "motd", "IMAGE"),
        ("diff", "IMAGE", "IMAGE"),
        ("ci", "IMAGE", "--lowest-efficiency", "0"),
        ("packages", "IMAGE"),
        ("history", "IMAGE", "/etc/motd"),
        ("cat", "IMAGE", "/etc/motd"),
        ("extract", "IMAGE", "/etc", "-o", "OUT"),
    ],
    ids=" ".join,
)
def test_every_command_that_reads_an_image_shows_progress(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    places = {
        "IMAGE": write(tmp_path / "i.tar", saved(layer(("etc/motd", b"x")))),
        "OUT": str(tmp_path / "out"),
    }
    main, side = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _SLOW, *(places.get(word, word) for word in words), "--no-cache"],
        stdout=subprocess.DEVNULL,
        stderr=side,
        env=environment(),
    ) as process:
        os.close(side)
        seen = b""
        while piece := _read(main):
            seen += piece
    os.close(main)
    assert process.returncode == 0
    text = seen.decode().replace("\r\n", "\n")
    assert "\r\x1b[K" in text
    # Warnings stand by themselves, and nothing of the progress remains.
    lines = screen_of(text)
    assert "a warning" in lines
    assert lines[-1] == ""
    assert not any("…" in line or "Reading" in line for line in lines)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
