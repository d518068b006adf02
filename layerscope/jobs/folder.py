"""Where jobs are kept, and for how long."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.jobs.job import Job, State, read_job
from layerscope.text import visible

#: Jobs that have ended and are kept; those before go when a new job starts.
KEPT = 50
#: Bytes that they may take together; the newest stays whatever it takes.
MOST = 256 << 20
#: Seconds after which a folder without a job in it is one whose start was cut short.
_UNFINISHED = 600.0


def jobs_folder() -> Path:
    """`$XDG_STATE_HOME/layerscope/jobs`, or `~/.local/state/layerscope/jobs`."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    root = base if base.is_absolute() else Path.home() / ".local" / "state"
    return root / "layerscope" / "jobs"


def all_jobs() -> list[Job]:
    """All jobs, the newest first."""
    try:
        names = [path.name for path in jobs_folder().iterdir() if _numbered(path)]
    except OSError:
        return []
    found = (read_job(jobs_folder() / name) for name in sorted(names, key=int, reverse=True))
    return [job for job in found if job is not None]


def check_readable() -> None:
    """Tells having no jobs from not being allowed to see them.

    Raises:
        LayerscopeError: The folder is there, and may not be read.
    """
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
            numbers = [int(path.name) for path in root.iterdir() if _numbered(path)]
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


def forget_old(kept: int = KEPT, most: int = MOST) -> None:
    """Removes the folders of jobs that ended, but for the newest, and what never became a job.

    Args:
        kept: How many are kept.
        most: Bytes that they may take.
    """
    ended = [each for each in all_jobs() if each.state is not State.RUNNING]
    total = 0
    for number, each in enumerate(ended):
        total += _size(each.folder)
        if number >= kept or (number and total > most):
            shutil.rmtree(each.folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path in jobs_folder().iterdir():
            if _numbered(path) and not (path / "job.json").exists():
                age = time.time() - path.stat().st_mtime
                if age > _UNFINISHED:
                    shutil.rmtree(path, ignore_errors=True)


def _numbered(path: Path) -> bool:
    # A superscript is a digit, too, and no number.
    return path.name.isascii() and path.name.isdigit()


def _size(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk."""
    try:
        with os.scandir(folder) as entries:
            return sum(each.stat(follow_symlinks=False).st_blocks * 512 for each in entries)
    except OSError:
        return 0
