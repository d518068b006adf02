"""Starts a job in a process of its own, which outlives any terminal, and stops it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerscope.errors import LayerscopeError
from layerscope.jobs.folder import forget_old, new_folder
from layerscope.jobs.job import Job, JobRecord, State, allocate_result, read_job
from layerscope.programs import python_module
from layerscope.text import visible
from layerscope.writing import remove_dead_folders, write_whole


def start(kind: str, title: str, module: str, spec: dict[str, Any]) -> Job:
    """Starts a job; see `Kind.start`.

    `module` is a module whose `main` does the work with `worker.run`. Raises LayerscopeError if the
    job cannot be kept or started.
    """
    forget_old()
    remove_dead_folders()
    folder = new_folder()
    record = JobRecord(kind, title, time.time(), str(Path.cwd()), spec)
    try:
        allocate_result(folder)
        write_whole(folder / "job.json", record.dump())
        (folder / "events.jsonl").touch(mode=0o600)
        _launch(folder, module)
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


def _launch(folder: Path, module: str) -> None:
    # Locked here and inherited: at no moment does the job seem to have died.
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A signal to stop waits until the process has installed its handlers.
        command, environment = python_module(module, str(folder), str(lock))
        with (folder / "output").open("wb") as output, block_signals(signal.SIGTERM):
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                start_new_session=True,
                env=environment,
            )
        # Reaps the process, which would else become a zombie.
        threading.Thread(target=process.wait, name="layerscope-job", daemon=True).start()
        os.pwrite(lock, str(process.pid).encode(), 0)
    finally:
        os.close(lock)


@contextlib.contextmanager
def block_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Blocks signals here, and in processes started here until they unblock them themselves."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def cancel(job: Job, patience: float = 20.0) -> bool:
    """Asks a job to stop, and waits up to `patience` seconds until it has.

    Returns whether it has ended.
    """
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
