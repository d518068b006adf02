"""Layers that a second process reads: a fork, or a new Python where there are threads."""

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
from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.changeset_file import dump_changeset
from layerscope.images import layer_stream, two_cores
from layerscope.images.progress import Progress
from tests.archives import entry, layer, saved, write

LAYERS = [layer((f"file-{number}\udcff", b"x" * number), "folder/") for number in range(12)]


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the layers are, and however few cores there are."""
    monkeypatch.setattr(two_cores, "WORTHWHILE", 0)
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


def is_whole(found: dict[int, Changeset] | BaseException) -> bool:
    return isinstance(found, dict) and [found[n].size for n in sorted(found)] == list(range(12))


@pytest.fixture
def slow_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes this process slow, so that the other one has something to do; what it reads itself."""
    own: list[str] = []
    real = layer_stream.read_layer

    def slow(*arguments: Any, **named: Any) -> Changeset:
        own.append(named["name"])
        time.sleep(0.3)
        return real(*arguments, **named)

    monkeypatch.setattr(layer_stream, "read_layer", slow)
    return own


def test_two_processes_read_what_one_does(tmp_path: Path, slow_here: list[str]) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    reader = open_image(path, Progress())
    alone = dict(reader.changesets(Progress(), range(1, 12)))
    reader.close()
    slow_here.clear()
    found = in_a_thread(path)
    assert isinstance(found, dict)
    assert is_whole(found)
    assert dump_changeset(found[0]) == dump_changeset(alone[0])
    assert 0 < len(slow_here) < 12


_FORKING = """
import os, sys, time
from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.images import layer_stream, two_cores
from layerscope.images.progress import Progress
os.cpu_count = lambda: 2
two_cores.WORTHWHILE = 0
real, parent, own = layer_stream.read_layer, os.getpid(), []
def slow(*arguments, **named):
    if os.getpid() == parent:
        own.append(named["name"])
        time.sleep(0.1)
    return real(*arguments, **named)
layer_stream.read_layer = slow
reader = open_image(sys.argv[1], Progress())
try:
    found = dict(reader.changesets(Progress(), ()))
    print([found[number].size for number in sorted(found)], 0 < len(own) < 12)
except LayerscopeError as error:
    print(error)
print(os.listdir("/proc/self/task") == [str(parent)])
"""


def forking(path: str) -> list[str]:
    """What a process without threads prints of the layers that it reads."""
    command = [sys.executable, "-c", _FORKING, path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_process_without_threads_forks(tmp_path: Path) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    assert forking(path) == [f"{list(range(12))} True", "True"]


DAMAGED = entry(b"a", b"x", checksum=b"damaged!")


def test_an_error_in_a_fork_is_reported(tmp_path: Path) -> None:
    [said, _] = forking(write(tmp_path / "i.tar", saved(LAYERS[0], LAYERS[1], DAMAGED)))
    assert "i.tar" in said
    assert "layer" in said


def test_an_error_in_a_new_python_is_reported(tmp_path: Path, slow_here: list[str]) -> None:
    error = in_a_thread(write(tmp_path / "i.tar", saved(LAYERS[0], LAYERS[1], DAMAGED)))
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
    assert is_whole(in_a_thread(write(tmp_path / "i.tar", saved(*LAYERS))))


def test_what_a_process_had_that_was_killed_is_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_here: list[str]
) -> None:
    script = (
        "import fcntl, os, pickle, socket, sys; sys.path[:] = sys.argv[2:]\n"
        "end = socket.socket(fileno=0)\n"
        "order, (locks, _), _, _ = socket.recv_fds(end, 1 << 20, 2)\n"
        "for layer in pickle.loads(order)[1]:\n"
        "    try: fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, layer)\n"
        "    except OSError: pass\n"
        "os.abort()"
    )
    monkeypatch.setattr(two_cores, "_CODE", script)
    assert is_whole(in_a_thread(write(tmp_path / "i.tar", saved(*LAYERS))))
    assert len(slow_here) == 12


def test_nothing_is_left_open(tmp_path: Path) -> None:
    path = write(tmp_path / "i.tar", saved(*LAYERS))
    in_a_thread(path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        assert is_whole(in_a_thread(path))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


_PARENT = """
import os, sys, threading, time
from layerscope.engines.resolve import open_image
from layerscope.images import layer_stream, two_cores
from layerscope.images.progress import Progress
os.cpu_count = lambda: 2
two_cores.WORTHWHILE = 0
two_cores._CODE = two_cores._CODE.replace("child(int",
    "import layerscope.images.layer_stream as b, time, os;"
    "b.read_layer = lambda *a, **n: time.sleep(600);"
    "open(%r, 'w').write(str(os.getpid())); child(int")
layer_stream.read_layer = lambda *a, **n: time.sleep(600)
reader = open_image(sys.argv[1], Progress())
thread = threading.Thread(target=lambda: list(reader.changesets(Progress(), ())))
thread.start()
thread.join()
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
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


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM], ids=["KILL", "HUP", "TERM"]
)
def test_no_process_outlives_the_one_that_started_it(
    parent: tuple[subprocess.Popen[bytes], int], how: signal.Signals
) -> None:
    process, child = parent
    time.sleep(0.3)
    assert Path(f"/proc/{child}").exists()
    process.send_signal(how)
    process.wait()
    until(lambda: not Path(f"/proc/{child}").exists())


@pytest.mark.parametrize(
    ("sizes", "saves"),
    [([50, 50], True), ([100], False), ([50, 49], False)],
    ids=["worth it", "one layer", "small layers"],
)
def test_few_and_small_layers_are_not_worth_it(sizes: list[int], saves: bool) -> None:
    assert two_cores._saves_time(dict(enumerate(sizes)), 100) == saves
