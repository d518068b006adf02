"""Where jobs are kept, and for how long."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.jobs.job import Job, State, read_job
from layerscope.text import visible

#: Jobs that have ended and are kept; of those before, the journals go when a new job starts.
KEPT = 50


def jobs_folder() -> Path:
    """`$XDG_STATE_HOME/layerscope/jobs`, or `~/.local/state/layerscope/jobs`."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    root = base if base.is_absolute() else Path.home() / ".local" / "state"
    return root / "layerscope" / "jobs"


def all_jobs() -> list[Job]:
    """All jobs, the newest first."""
    try:
        names = [path.name for path in jobs_folder().iterdir() if path.name.isdigit()]
    except OSError:
        return []
    found = (read_job(jobs_folder() / name) for name in sorted(names, key=int, reverse=True))
    return [job for job in found if job is not None]


def job(identifier: str) -> Job:
    """A job.

    Raises:
        NotFoundError: There is none of that number.
    """
    found = (
        read_job(jobs_folder() / identifier)
        if identifier.isascii() and identifier.isdigit()
        else None
    )
    if found is None:
        raise NotFoundError(
            f"There is no job {visible(identifier)}.", "`layerscope jobs` lists them."
        )
    return found


def new_folder() -> Path:
    """Makes the folder of a new job, numbered behind all that there are.

    Raises:
        LayerscopeError: That is not possible.
    """
    root = jobs_folder()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            numbers = [int(path.name) for path in root.iterdir() if path.name.isdigit()]
            folder = root / str(max(numbers, default=0) + 1)
            # Two at once may want the same number: one of them tries the next.
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                return folder
    except OSError as error:
        raise LayerscopeError(
            f"Jobs cannot be kept in {visible(str(root))}: {error.strerror}.",
            "Set XDG_STATE_HOME to a folder that can be written.",
        ) from None


def forget_old(kept: int = KEPT) -> None:
    """Removes the folders of jobs that ended, but for the newest."""
    ended = [each for each in all_jobs() if each.state is not State.RUNNING]
    for each in ended[kept:]:
        shutil.rmtree(each.folder, ignore_errors=True)
