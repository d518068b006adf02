"""A job as its folder describes it: what it is, whether it runs, how it ended.

A job is a folder, which other processes can read directly:

    job.json        what it is, written once before it starts
    events.jsonl    its journal: a JSON object a line, only ever appended to
    lock            locked by the job's process while it lives; holds its process id
    result.json     how it ended, written last; blank until then
    reserve         space for the last event, should the disk be full; removed when the job ends
    left.json       what the job has elsewhere and must clean up; removed after the cleanup
    output          stdout and stderr of the process, for the traceback of a bug

The lock distinguishes a running job from a killed one: the kernel releases it however the process
ends, and a reused process id cannot be mistaken for the job.

The space for the result is allocated when a job starts, so that a full disk can be reported:
`result.json` has its final size from the start, and is written in place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from layerscope.bounded import open_regular, read_file
from layerscope.records import Number, Record, UnixTime, read


class State(Enum):
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DIED = "died"  # Its process was killed before it could write a result.


LEFT = "left.json"  # See above.
CANCELLED = 130  # Exit code of work that was cancelled.
_LENGTH = 4096  # Bytes of a result, padded with spaces.
_RESERVE = 16 << 10  # Bytes released for the last event.
#: Characters of a reason; escaped, each may take six bytes, or twelve beyond the first plane.
_LONGEST = 320


class JobRecord(Record, frozen=True):
    """The content of `job.json`."""

    kind: str
    title: str
    started: UnixTime
    directory: str
    spec: dict[str, Any]
    engine: str = ""  # Name of the engine that was current.


class Result(Record, frozen=True, omit_defaults=True):
    """The content of `result.json`."""

    exit_code: Number  # The exit code of the work.
    ended: UnixTime | None = None  # Unix time.
    reason: str = ""  # Why the job stopped, if its journal may not say so.


@dataclass(frozen=True, slots=True)
class Job:
    id: str  # Its number, as users type it.
    folder: Path
    kind: str  # Such as `build`.
    title: str  # What it is about; not safe to show.
    started: float  # Unix time.
    directory: str  # Its working directory.
    spec: Mapping[str, Any]  # The request, unchecked; see `Kind.request_of`.
    engine: str = ""  # Name of the engine that was current; "" if unknown.

    @property
    def journal(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def state(self) -> State:
        if self.locked():
            return State.RUNNING
        code = self.exit_code
        if code is None:
            return State.DIED
        if code == CANCELLED:
            return State.CANCELLED
        return State.FAILED if code else State.FINISHED

    @property
    def exit_code(self) -> int | None:
        result = read_result(self.folder)
        return None if result is None else result.exit_code

    @property
    def ended(self) -> float | None:
        """Unix time of its end; None while it runs, or if it was killed."""
        result = read_result(self.folder)
        return None if result is None else result.ended

    @property
    def reason(self) -> str:
        """Why it stopped, if its journal may lack a last event, or ""."""
        result = read_result(self.folder)
        if result is not None and result.reason:
            return result.reason
        if self.state is not State.DIED:
            return ""
        if not os.path.lexists(self.folder):
            return f"The folder of job {self.id} was removed, and its journal with it."
        more = (
            f" The next {self.kind} removes what it left in the engine, and so does "
            f"`layerscope jobs cancel {self.id}`."
        ) * self.left
        return f"The process of job {self.id} was killed.{more}"

    @property
    def left(self) -> bool:
        """Whether it left something behind to clean up."""
        return os.path.lexists(self.folder / LEFT)

    @property
    def process(self) -> int | None:
        """The id of the job's process; valid only while the job is locked."""
        with contextlib.suppress(OSError, ValueError):
            number = int(read_file(self.folder / "lock"))
            # Zero and negative numbers would refer to a process group.
            return number if 0 < number < 1 << 31 else None
        return None

    def locked(self) -> bool:
        try:
            fd = open_regular(self.folder / "lock")
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


def read_job(folder: Path) -> Job | None:
    """Returns the job in a folder; None if it is missing or damaged."""
    found = read(folder / "job.json", JobRecord)
    if found is None:
        return None
    return Job(
        folder.name,
        folder,
        found.kind,
        found.title,
        found.started,
        found.directory,
        found.spec,
        found.engine,
    )


def allocate_result(folder: Path) -> None:
    """Allocates the disk space that the end of a job will need.

    Raises OSError if there is not enough.
    """
    (folder / "result.json").write_bytes(b" " * _LENGTH)
    # Not zeros, which some file systems do not allocate.
    (folder / "reserve").write_bytes(os.urandom(_RESERVE))


def release_reserve(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / "reserve").unlink()


def write_result(folder: Path, exit_code: int, ended: float, reason: str = "") -> None:
    """Records how a job ended, even on a full disk; raises OSError."""
    release_reserve(folder)
    data = Result(exit_code, ended, reason[:_LONGEST]).dump().ljust(_LENGTH)
    # Not renamed into place, which would need space for a second file. A partial result is not
    # JSON, so readers ignore it.
    fd = open_regular(folder / "result.json", os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, data, 0)
    finally:
        os.close(fd)


def read_result(folder: Path) -> Result | None:
    """Returns how a job ended, or None if it has not."""
    return read(folder / "result.json", Result)
