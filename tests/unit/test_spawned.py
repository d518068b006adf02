"""Layers read by a second process, where there are threads already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import BadInputError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.changeset_file import dump_changeset
from layerscope.images import layer_bytes, spawned
from layerscope.images.progress import Progress
from tests.archives import entry, saved
from tests.unit.archives import layer, write

LAYERS = [layer((f"file-{number}\udcff", b"x" * number), "folder/") for number in range(12)]


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the layers are, and however few cores there are."""
    monkeypatch.setattr(spawned, "WORTHWHILE", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def in_a_thread(path: str) -> dict[int, Changeset] | BaseException:
    """What is read with threads around."""
    found: list[Any] = []

    def work() -> None:
        reader = open_image(path, Progress())
        try:
            found.append(dict(reader.changesets(Progress(), frozenset())))
        except BaseException as error:
            found.append(error)
        finally:
            reader.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    result: dict[int, Changeset] | BaseException = found[0]
    return result


@pytest.fixture
def slow_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes this process slow, so that the other one has something to do; what it reads itself."""
    own: list[str] = []
    real = layer_bytes.read_layer

    def slow(*arguments: Any, **named: Any) -> Changeset:
        own.append(named["name"])
        time.sleep(0.3)
        return real(*arguments, **named)

    monkeypatch.setattr(layer_bytes, "read_layer", slow)
    return own


def test_two_processes_read_what_one_does(tmp_path: Path, slow_here: list[str]) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    reader = open_image(path, Progress())
    alone = dict(reader.changesets(Progress(), range(1, 12)))
    reader.close()
    slow_here.clear()
    found = in_a_thread(path)
    assert isinstance(found, dict)
    assert sorted(found) == list(range(12))
    assert dump_changeset(found[0]) == dump_changeset(alone[0])
    assert [found[number].size for number in range(12)] == list(range(12))
    assert 0 < len(slow_here) < 12


def test_an_error_in_the_other_process_is_told_as_ever(
    tmp_path: Path, slow_here: list[str]
) -> None:
    damaged = entry(b"a", b"x", checksum=b"damaged!")
    error = in_a_thread(write(tmp_path / "i.tar", saved(LAYERS[0], LAYERS[1], damaged)))
    assert isinstance(error, BadInputError)
    assert "i.tar" in str(error)
    assert "layer" in str(error)


@pytest.mark.parametrize("executable", ["/nonexistent/python3", "/bin/python-that-ends"])
def test_without_another_process_this_one_reads_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    if executable.startswith("/bin"):
        program = tmp_path / "python-that-ends"
        program.write_text("#!/bin/sh\nexit 3\n")
        program.chmod(0o755)
        executable = str(program)
    monkeypatch.setattr(sys, "executable", executable)
    found = in_a_thread(write(tmp_path / "i.tar", saved(*LAYERS)))
    assert isinstance(found, dict)
    assert sorted(found) == list(range(12))


def test_a_process_that_is_killed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_here: list[str]
) -> None:
    real = subprocess.Popen
    script = (
        "import os, socket; end = socket.socket(fileno=0);"
        "os.read(socket.recv_fds(end, 1, 250)[1][1], 4); os.abort()"
    )

    def popen(command: list[str], **named: Any) -> Any:
        assert command[-2] == spawned._CODE
        return real([*command[:-2], script], **named)

    monkeypatch.setattr(subprocess, "Popen", popen)
    error = in_a_thread(write(tmp_path / "i.tar", saved(*LAYERS)))
    assert isinstance(error, LayerscopeError)
    assert "was stopped" in str(error)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    in_a_thread(path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        assert isinstance(in_a_thread(path), dict)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


_PARENT = """
import os, sys, threading, time
from layerscope.engines.resolve import open_image
from layerscope.images import forked, layer_bytes, spawned
from layerscope.images.progress import Progress
os.cpu_count = lambda: 2
spawned.WORTHWHILE = 0
spawned._CODE = spawned._CODE.replace("child(start",
    "import layerscope.images.layer_bytes as b, time, os;"
    "b.read_layer = lambda *a, **n: (os.write(1, b''), time.sleep(600));"
    "open(%r, 'w').write(str(os.getpid())); child(start")
layer_bytes.read_layer = lambda *a, **n: time.sleep(600)
reader = open_image(sys.argv[1], Progress())
thread = threading.Thread(target=lambda: list(reader.changesets(Progress(), ())))
thread.start()
thread.join()
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that reads, and the one that it started, neither of which would ever end."""
    note = tmp_path / "pid"
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    process = subprocess.Popen([sys.executable, "-c", _PARENT % str(note), path])
    try:
        until(lambda: note.exists() and note.read_text())
        yield process, int(note.read_text())
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_no_process_outlives_the_one_that_started_it(
    parent: tuple[subprocess.Popen[bytes], int], how: signal.Signals
) -> None:
    process, child = parent
    time.sleep(0.3)
    assert Path(f"/proc/{child}").exists()
    process.send_signal(how)
    process.wait()
    until(lambda: not Path(f"/proc/{child}").exists())


def test_few_and_small_layers_are_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spawned.may_spawn(2, 0)
    assert not spawned.may_spawn(1, 1 << 40)
    assert not spawned.may_spawn(spawned._MOST + 1, 1 << 40)
    monkeypatch.setattr(spawned, "WORTHWHILE", 100)
    assert not spawned.may_spawn(2, 99)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started."""
    found: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def popen(*arguments: Any, **named: Any) -> Any:
        found.append(real(*arguments, **named))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    return found


def test_one_that_was_prepared_is_the_one_that_reads(
    tmp_path: Path, slow_here: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    spawned.prepare(f"docker-archive:{path}")
    assert len(started) == 1
    found = in_a_thread(path)
    assert isinstance(found, dict)
    assert sorted(found) == list(range(12))
    assert 0 < len(slow_here) < 12
    assert len(started) == 1
    assert started[0].returncode == 0
    # The next one needs a new one.
    in_a_thread(path)
    assert len(started) == 2


def test_one_that_was_prepared_and_died_is_not_missed(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    spawned.prepare(path)
    started[0].kill()
    found = in_a_thread(path)
    assert isinstance(found, dict)
    assert sorted(found) == list(range(12))


def test_what_was_prepared_for_nothing_ends(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(2):
        spawned.prepare(path)
    assert started[0].returncode is not None
    assert started[1].returncode is None
    spawned.dismiss()
    spawned.dismiss()
    assert started[1].returncode is not None
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("source", ["debian:12", "/nonexistent", "/", "oci:/x", "a\0b", ""])
def test_nothing_is_prepared_for_what_is_no_file(
    source: str, started: list[subprocess.Popen[bytes]]
) -> None:
    spawned.prepare(source)
    assert not started
