"""Runs layerscope in a fork of a process that has imported it: a start costs a tenth of the usual.

All else is as in a new process: arguments, environment, folder, streams, exit code, and no state is
left to the next run. Each process of pytest has processes to fork from.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: How the variables begin that an interpreter looks at when it starts.
AT_START = ("LANG", "LC_", "PYTHON")
_NUMBER = struct.Struct("i")
_one_at_a_time = threading.Lock()


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    cwd: Path | str = ROOT,
    given: bytes = b"",
    timeout: float = 300,
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m layerscope` to its end."""
    command = [sys.executable, "-m", "layerscope", *arguments]
    request = json.dumps([list(arguments), dict(environment), str(cwd)]).encode()
    with (
        _one_at_a_time,
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        stdin.write(given)
        stdin.seek(0)
        at_start = {each for each in environment.items() if each[0].startswith(AT_START)}
        control = _parent(frozenset(at_start))
        pid = 0
        try:
            socket.send_fds(control, [b"!"], [stdin.fileno(), out.fileno(), err.fileno()])
            control.sendall(request + b"\n")
            pid = _number(control)
            control.settimeout(timeout)
            code = _number(control)
            control.settimeout(None)
        except BaseException as error:  # pytest's own limit among them
            # What comes late would be taken for the answer to the next request.
            if pid:
                os.kill(pid, signal.SIGKILL)
            control.close()
            _parent.cache_clear()
            if isinstance(error, TimeoutError):
                raise subprocess.TimeoutExpired(command, timeout) from None
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


def _number(control: socket.socket) -> int:
    (number,) = _NUMBER.unpack(control.recv(_NUMBER.size, socket.MSG_WAITALL))
    return int(number)


@functools.cache
def _parent(variables: frozenset[tuple[str, str]]) -> socket.socket:
    """Start a process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            # numpy would start threads, and those do not survive a fork.
            env={**dict(variables), "OPENBLAS_NUM_THREADS": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _import_all() -> None:
    import layerscope

    for module in pkgutil.walk_packages(layerscope.__path__, "layerscope."):
        if not module.name.startswith("layerscope.tui") and module.name != "layerscope.__main__":
            import_module(module.name)


def _serve(control: socket.socket) -> tuple[Any, list[int]]:
    """Fork for each request; return in the child, with what was asked for and its streams."""
    with control, control.makefile("rb") as requests:
        while True:
            _, streams, *_ = socket.recv_fds(control, 1, 3)
            if not streams:
                sys.exit()
            request = json.loads(requests.readline())
            pid = os.fork()
            if not pid:
                return request, streams
            for each in streams:
                os.close(each)
            control.sendall(_NUMBER.pack(pid))
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            control.sendall(_NUMBER.pack(code))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_all()
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    (arguments, environment, cwd), streams = _serve(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    kept = {name: os.environ[name] for name in os.environ.keys() & {"LC_CTYPE"}}  # by PEP 538
    os.environ.clear()
    os.environ.update(kept | environment)
    time.tzset()
    os.chdir(cwd)
    sys.argv[1:] = arguments
    code = 0
    try:
        runpy.run_module("layerscope", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    # What an interpreter does at its end, but for taking apart all modules: that costs a start.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
