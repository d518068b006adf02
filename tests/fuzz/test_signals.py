"""Random signals at random moments of every screen, from start to end.

`LAYERSCOPE_FUZZ_SECONDS` sets how long, and `LAYERSCOPE_FUZZ_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import termios
import time
from pathlib import Path

import pytest

from tests.archives import docker_archive, folder, layer_tar, text, whiteout
from tests.fuzz.test_fuzz import SECONDS
from tests.tui.terminal.programs import left_as_it_was, processes_with, start

#: What is typed to get to each screen, from the main one.
_SCREENS = {
    "main": ("",),
    "filter": ("3/pass",),
    "help": ("?",),
    "palette": ("\x10", "th"),
    "jump": ("\x0f",),
    "content": ("3Ejjj", "v"),
    "versions": ("3Ejjj", "d"),
    "diff": ("3Ejjj", "d", "\r"),
    "waste": ("w",),
    "packages": ("P",),
    "compare": ("c",),
    "find": ("f", "passwd\r"),
    "remove": ("D",),
    "open": ("o", "x"),
    "copy": ("y",),
    "platforms": ("p",),
    "editor": ("e", "i"),
    "form": ("b",),
    "build": ("b", "\r"),
    "jobs": ("J",),
    "zoom": ("3z",),
    "pager": ("3Ejjj", "v", "p"),
    "editor outside": ("3Ejjj", "v", "e"),
    "stopped": ("\x1a",),
}
_ENDS = {signal.SIGTERM: 0, signal.SIGHUP: 0, signal.SIGINT: 130}
_OTHERS = (signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP)


class Walk:
    """One run of the program."""

    def __init__(self, chance: random.Random, archive: Path, screen: str) -> None:
        self.chance = chance
        self.screen = screen
        self.done: list[str] = []
        self.ended: list[signal.Signals] = []
        self.ui = start(
            str(archive),
            module="layerscope",
            size=chance.choice([(100, 30), (80, 24), (20, 5), (1, 1), (0, 0)]),
            DOCKER_HOST="unix:///nowhere/docker.sock",
            PAGER="sleep 1000 #",
            EDITOR=chance.choice(["sleep 1000 #", "true"]),
            VISUAL="",
        )
        self.before = termios.tcgetattr(self.ui.fd)
        self.terminal = self.ui.name

    def run(self) -> None:
        ui, chance = self.ui, self.chance
        if chance.random() < 0.3:
            self.wait(chance.uniform(0, 2))
        else:
            self.until_started()
            self.wait(chance.choice([0, 0.05, 0.5]))
            for keys in _SCREENS[self.screen]:
                self.type(keys)
                self.wait(chance.choice([0, 0.02, 0.2, 1]))
            if chance.random() < 0.3:
                self.type("\x1b")
        for _ in range(chance.randrange(4)):
            self.send(chance.choice(_OTHERS))
        while not self.ended or chance.random() < 0.3:
            self.send(chance.choice(list(_ENDS)))
        if self.screen in ("pager", "editor outside"):
            # The program that has the terminal may have been meant before.
            self.send(signal.SIGTERM)
        self.check(self.exit_code())
        ui.read(0.05)
        assert self.early or b"Traceback" not in ui.output, ui.output[-3000:]
        if b"\x1b[?1049h" in ui.output:
            assert left_as_it_was(ui.output), ui.output[-1000:]
        assert termios.tcgetattr(ui.fd) == self.before

    @property
    def early(self) -> bool:
        """Whether it ended while Python itself was starting."""
        modules = re.findall(rb"layerscope/(\w+)", self.ui.output)
        return b"\x1b[?1049h" not in self.ui.output and set(modules) <= {b"__main__"}

    def until_started(self) -> None:
        end = time.monotonic() + 120
        while b"\x1b[?1049h" not in self.ui.output and self.ui.process.poll() is None:
            assert time.monotonic() < end, self.ui.output
            self.wait(0.05)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.ui.read(min(left, 0.1))
            if self.ui.process.poll() is not None:
                return

    def type(self, keys: str) -> None:
        self.done.append(repr(keys))
        with contextlib.suppress(OSError):
            os.write(self.ui.fd, keys.encode())

    def send(self, number: signal.Signals) -> None:
        self.done.append(number.name)
        if number in _ENDS:
            self.ended.append(number)
        elif number == signal.SIGWINCH:
            self.ui.resize(*self.chance.choice([(100, 30), (30, 8), (1, 1)]))
        self.ui.process.send_signal(number)
        self.wait(self.chance.choice([0, 0, 0.01, 0.1]))

    def exit_code(self) -> int:
        """Waits until it has ended, and nothing that it started is left."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            # What is stopped ends once it is continued, as a shell does it.
            with contextlib.suppress(OSError):
                if self.ui.process.poll() is None and self.ui.state == "T":
                    self.ui.process.send_signal(signal.SIGCONT)
            self.wait(0.1)
            if self.ui.process.poll() is not None and not processes_with(self.terminal):
                return self.ui.process.returncode
        raise AssertionError(f"{self.ui.process.poll()}, {processes_with(self.terminal)}")

    def check(self, code: int) -> None:
        wanted = {_ENDS[number] for number in self.ended}
        if self.early:
            wanted |= {1, *(-number for number in self.ended)}
        assert code in wanted, code


def test_random_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("LAYERSCOPE_FUZZ_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    base = layer_tar([folder("etc"), text("etc/passwd", "root\n"), text("etc/hosts", "x\n" * 99)])
    top = layer_tar([folder("etc"), text("etc/passwd", "root:x\n"), whiteout("etc/hosts")])
    archive = tmp_path / "image.tar"
    archive.write_bytes(docker_archive([base, top]))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    monkeypatch.chdir(tmp_path)
    for name in ("CACHE", "STATE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    end, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        screen = chance.choice(list(_SCREENS))
        walk = Walk(chance, archive, screen)
        number += 1
        try:
            walk.run()
        except AssertionError as error:
            shown = walk.ui.text
            raise AssertionError(f"seed {seed}, {screen}, {walk.done}: {error}\n{shown}") from error
        finally:
            if walk.ui.process.poll() is None:
                walk.ui.process.kill()
            walk.ui.process.wait()
            os.close(walk.ui.fd)
    print(f"{number} runs, seed {seed}")
