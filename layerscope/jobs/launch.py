"""Starts a job in a process of its own, which no terminal's end reaches, and stops it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layerscope.errors import LayerscopeError
from layerscope.images.cache_folder import write_whole
from layerscope.jobs.folder import forget_old, new_folder
from layerscope.jobs.job import Job, State, read_job
from layerscope.jobs.result import set_aside
from layerscope.text import visible


def start(kind: str, title: str, module: str, spec: Mapping[str, Any]) -> Job:
    """Starts a job.

    Args:
        kind: Such as `build`.
        title: What it is about, for lists.
        module: A module whose `main` does the work with `worker.run`.
        spec: What it needs, as JSON. Secrets do not belong there: they are inherited with the
            environment, or read from their files.

    Raises:
        LayerscopeError: The job cannot be kept or started.
    """
    forget_old()
    folder = new_folder()
    document = {
        "kind": kind,
        "title": title,
        "started": time.time(),
        "directory": str(Path.cwd()),
        "spec": spec,
    }
    try:
        set_aside(folder)
        write_whole(folder / "job.json", json.dumps(document).encode())
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
        raise LayerscopeError(f"The job in {visible(str(folder))} is gone already.")
    return job


def _launch(folder: Path, module: str) -> None:
    # Locked here and inherited: at no moment is there a job that seems to have died.
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It may be asked to stop before it is ready for that: the signal waits until it is.
        with (folder / "output").open("wb") as output, held_back(signal.SIGTERM):
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", module, str(folder), str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                start_new_session=True,
                env=_environment(),
            )
        # Nobody here waits for its end but this thread, which keeps it from becoming a zombie.
        threading.Thread(target=process.wait, name="layerscope-job", daemon=True).start()
        os.pwrite(lock, str(process.pid).encode(), 0)
    finally:
        os.close(lock)


@contextlib.contextmanager
def held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Holds signals back, here and in what is started here until it lets them through itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment() -> dict[str, str]:
    """Ours, and the place that this very program was imported from."""
    import layerscope

    root = str(Path(layerscope.__file__).parent.parent)
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}


def cancel(job: Job, patience: float = 20.0) -> bool:
    """Asks a job to stop, and waits until it has.

    Args:
        job: The job.
        patience: Seconds to wait.

    Returns:
        Whether it has ended.
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
