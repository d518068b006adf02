"""Starts a job in a separate process, which outlives the terminal, and stops it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from layerscope.config import ENGINE, use_engine
from layerscope.engines.address import chosen_engine
from layerscope.errors import LayerscopeError
from layerscope.jobs.folder import forget_old, new_folder
from layerscope.jobs.job import Job, JobRecord, State, allocate_result, read_job
from layerscope.programs import python_module
from layerscope.text import visible
from layerscope.writing import remove_dead_folders, write_whole

_may_fork = False


@contextlib.contextmanager
def forks() -> Iterator[None]:
    """Starts jobs in the block by forking this process, unless it has threads.

    This saves importing modules again. It is for commands, which do little else in their process.
    """
    global _may_fork
    _may_fork = True
    try:
        yield
    finally:
        _may_fork = False


def start(
    kind: str,
    title: str,
    module: str,
    spec: dict[str, Any],
    engine: str | None = None,
    directory: str | None = None,
) -> Job:
    """Starts a job; see `Kind.start`. It works in the current folder, or in `directory`.

    The `main` of `module` does the work with `worker.run`. Raises LayerscopeError if the job cannot
    be stored or started.
    """
    forget_old()
    remove_dead_folders()
    folder = new_folder()
    engine = engine or chosen_engine()
    record = JobRecord(kind, title, time.time(), directory or str(Path.cwd()), spec, engine)
    try:
        allocate_result(folder)
        write_whole(folder / "job.json", record.dump())
        (folder / "events.jsonl").touch(mode=0o600)
        _launch(folder, module, record)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise LayerscopeError(
            f"The job cannot be started: {visible(str(error.strerror or error))}.",
            f"Make room in {visible(str(folder.parent))}, or set XDG_STATE_HOME to another folder.",
        ) from None
    job = read_job(folder)
    if job is None:
        raise LayerscopeError(f"The job in {visible(str(folder))} was removed.")
    return job


def _launch(folder: Path, module: str, record: JobRecord) -> None:
    # Locked here and inherited, so that the job never appears to have died.
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # SIGTERM stays pending until the process has installed its handlers.
        with (folder / "output").open("wb") as output, block_signals(signal.SIGTERM):
            begin = _fork if _may_fork and _is_alone() else _spawn
            process, wait = begin(module, [str(folder), str(lock)], lock, output.fileno(), record)
        # Reaps the process, which would otherwise become a zombie.
        threading.Thread(target=wait, name="layerscope-job", daemon=True).start()
        os.pwrite(lock, str(process).encode(), 0)
    finally:
        os.close(lock)


def _spawn(
    module: str, arguments: list[str], lock: int, output: int, record: JobRecord
) -> tuple[int, Callable[[], object]]:
    """Starts a new Python; returns its process id, and a function that waits for its end."""
    command, environment = python_module(module, *arguments)
    process = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(lock,),
        start_new_session=True,
        env={**environment, ENGINE: record.engine},
        cwd=record.directory,
    )
    return process.pid, process.wait


def _fork(
    module: str, arguments: list[str], lock: int, output: int, record: JobRecord
) -> tuple[int, Callable[[], object]]:
    """Like `_spawn`, by forking this process."""
    process = os.fork()
    if not process:
        _become(module, arguments, lock, output, record)
    return process, partial(os.waitpid, process, 0)


def _become(
    module: str, arguments: list[str], lock: int, output: int, record: JobRecord
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.chdir(record.directory)
        use_engine(record.engine)
        for number in range(3):
            os.dup2(output if number else os.open(os.devnull, os.O_RDONLY), number)
        # Descriptors that this process inherited; those that Python opens do not survive an exec.
        for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names are wanted
            with contextlib.suppress(OSError):
                if number > 2 and os.get_inheritable(number):
                    os.close(number)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        code = importlib.import_module(module).main(arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _is_alone() -> bool:
    """Whether this process has one thread: a fork would lack the others, but keep their locks."""
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - their number is wanted
    except OSError:
        return False  # Only Linux has /proc.


@contextlib.contextmanager
def block_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Blocks signals here, and in processes started here until they unblock them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def cancel(job: Job, patience: float = 20.0) -> bool:
    """Cancels a job, and waits up to `patience` seconds; returns whether it has ended."""
    process = job.process
    if process is not None and job.state is State.RUNNING:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    until = time.monotonic() + patience
    while job.locked():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
