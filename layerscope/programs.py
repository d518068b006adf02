"""Runs external programs with limits on time and output."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from layerscope.bounded import SMALL

_CHUNK = 1 << 16
_PERIOD = 0.2  # Seconds between two checks whether to continue.
_PR_SET_PDEATHSIG = 1


class OutputError(Exception):
    """A program that ran too long or printed too much; the text states which, as a predicate."""


def ending(code: int) -> str:
    """How a program ended, as a predicate.

    Args:
        code: Its exit code, or the negative number of the signal that killed it.
    """
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def run(
    command: Sequence[str],
    given: bytes = b"",
    *,
    seconds: float,
    most: int = SMALL,
    errors: bool = False,
    folder: Path | None = None,
    group: bool = False,
    environment: Mapping[str, str] | None = None,
    check: Callable[[], None] = lambda: None,
) -> tuple[int, bytes, bytes]:
    """Runs a program; returns its exit code, its output, and its errors if requested.

    `given` is its input; `environment` defaults to this process's. `group` starts a new process
    group, so that the program's children end with it; it then cannot ask anything on the terminal.
    `check` is called repeatedly, and raises to stop it.

    Raises OSError if it cannot be started, and OutputError if it was killed.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given)
        stdin.seek(0)
        process = subprocess.Popen(  # noqa: S603 - no shell
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if errors else subprocess.DEVNULL,
            cwd=folder,
            process_group=0 if group else None,
            env=environment,
            bufsize=0,
        )
    streams = [each for each in (process.stdout, process.stderr) if each is not None]
    found = {stream.fileno(): bytearray() for stream in streams}
    try:
        _read_all(found, time.monotonic() + seconds, most, check)
        code = process.wait(seconds)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise OutputError(f"took longer than {seconds:g} s") from None
        raise
    finally:
        for stream in streams:
            stream.close()
    out, *err = map(bytes, found.values())
    return code, out, b"".join(err)


def python_module(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A command line that runs a module of layerscope in a new Python, and its environment."""
    root = str(Path(__file__).parent.parent)
    known = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{known}" if known else root
    return [sys.executable, "-P", "-m", module, *arguments], {**os.environ, "PYTHONPATH": path}


def end_with_parent(parent: int) -> bool:
    """Makes this process end with the thread that started it, in the process `parent`.

    Returns False if `parent` has already ended.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def _read_all(
    found: dict[int, bytearray], until: float, most: int, check: Callable[[], None]
) -> None:
    poll = select.poll()
    for fd in found:
        poll.register(fd, select.POLLIN)
    left = len(found)
    while left:
        wait = until - time.monotonic()
        if wait <= 0:
            raise subprocess.TimeoutExpired("", 0)
        check()
        for fd, _ in poll.poll(min(wait, _PERIOD) * 1000):
            piece = os.read(fd, _CHUNK)
            found[fd] += piece
            if len(found[fd]) > most:
                raise OutputError("printed too much")
            if not piece:
                poll.unregister(fd)
                left -= 1
