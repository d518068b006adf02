"""The folder of all jobs, and how long it keeps them."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from layerscope.config import state_folder
from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.jobs.job import Job, State, read_job
from layerscope.text import visible

KEPT = 50  # The most ended jobs to keep; starting a job deletes older ones.
MOST = 256 << 20  # Their total size in bytes; the newest stays whatever its size.
#: Seconds after which a folder without a job counts as an interrupted start.
_UNFINISHED = 600.0


def jobs_folder() -> Path:
    return state_folder() / "jobs"


def job_numbers() -> list[str]:
    """Returns the numbers of all jobs, damaged ones too, newest first."""
    try:
        names = [path.name for path in jobs_folder().iterdir() if _is_numbered(path)]
    except OSError:
        return []
    return sorted(names, key=int, reverse=True)


def all_jobs() -> list[Job]:
    """Returns all jobs, newest first; skips damaged ones."""
    found = (read_job(jobs_folder() / name) for name in job_numbers())
    return [job for job in found if job is not None]


def check_readable() -> None:
    """Raises LayerscopeError if the folder exists but cannot be read."""
    root = jobs_folder()
    try:
        with os.scandir(root):
            pass
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise LayerscopeError(
            f"Jobs in {visible(str(root))} cannot be read: {error.strerror}.",
            "Set XDG_STATE_HOME to a folder of your own.",
        ) from None


def job(identifier: str) -> Job:
    """Returns a job by its number; raises NotFoundError."""
    path = jobs_folder() / identifier
    found = read_job(path) if path.name == identifier and _is_numbered(path) else None
    if found is None:
        raise NotFoundError(
            f"There is no job {visible(identifier)}.", "`layerscope jobs` lists them."
        )
    return found


def new_folder() -> Path:
    """Creates the folder of a new job, with the next number. Raises LayerscopeError."""
    root = jobs_folder()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            numbers = [int(path.name) for path in root.iterdir() if _is_numbered(path)]
            folder = root / str(max(numbers, default=0) + 1)
            # If two processes try the same number, one of them continues with the next.
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                return folder
    except OSError as error:
        raise LayerscopeError(
            f"Jobs cannot be kept in {visible(str(root))}: {error.strerror}.",
            "Set HOME or XDG_STATE_HOME to a folder that can be written.",
        ) from None


def forget_old(kept: int = KEPT, most: int = MOST) -> None:
    """Removes all but the newest jobs that have ended, and folders of interrupted starts."""
    ended = [each for each in all_jobs() if each.state is not State.RUNNING]
    total = 0
    for number, each in enumerate(ended):
        total += _disk_usage(each.folder)
        if number >= kept or (number and total > most):
            shutil.rmtree(each.folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path in jobs_folder().iterdir():
            started = _is_numbered(path) and not os.path.lexists(path / "job.json")
            if started and time.time() - path.stat().st_mtime > _UNFINISHED:
                shutil.rmtree(path, ignore_errors=True)


def _is_numbered(path: Path) -> bool:
    # Superscripts are digits too, but not numbers.
    return path.name.isascii() and path.name.isdigit() and len(path.name) < 10


def _disk_usage(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(each.stat(follow_symlinks=False).st_blocks * 512 for each in entries)
    except OSError:
        return 0
