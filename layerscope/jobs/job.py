"""A job as its folder tells it: what it is, whether it runs, how it ended.

A job is a folder, so that everybody who may read it can ask, with nothing running in between:

    job.json        what it is, written once before it starts
    events.jsonl    its journal: a JSON object a line, only ever appended to
    lock            locked by the job's process for as long as it lives
    result.json     how it ended, the last thing that is written; blank until then (see `result`)
    reserve         room for the last words, should the disk be full; gone when the job has ended
    left.json       what it has elsewhere that must not stay when it ends; gone when it does not
    output          what the process wrote to stdout and stderr, should it die of a mistake

The lock is what tells a job that runs from one that was killed: the kernel lets go of it whatever
ends the process, and no process id can be taken for another's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from layerscope.jobs.result import read_result


class State(Enum):
    """What became of a job."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Its process ended without a word: it was killed.
    DIED = "died"


#: In a job's folder, what its work has elsewhere and has not taken away yet, in its own words.
LEFT = "left.json"

#: Exit code of work that was stopped on demand.
CANCELLED = 130


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes:
        id: Its number, for people to type.
        folder: Where it is kept.
        kind: Such as `build`.
        title: What it is about, as it was given; not made safe for a terminal.
        started: Unix time.
        directory: The folder that it was started in.
        spec: What its kind needs to do it.
    """

    id: str
    folder: Path
    kind: str
    title: str
    started: float
    directory: str
    spec: Mapping[str, Any]

    @property
    def journal(self) -> Path:
        """The file with its events."""
        return self.folder / "events.jsonl"

    @property
    def state(self) -> State:
        """What became of it, as of now."""
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
        """The exit code of its work; None as long as it has none."""
        code = self._result().get("exit_code")
        return code if isinstance(code, int) else None

    @property
    def reason(self) -> str:
        """Why it could not go on, where its journal may lack a last event; empty otherwise."""
        reason = self._result().get("reason")
        if isinstance(reason, str):
            return reason
        if self.state is not State.DIED:
            return ""
        if not self.folder.exists():
            return f"The folder of job {self.id} was removed, and with it what it tells."
        more = (
            " The next build takes away what it left in the engine, and so does "
            f"`layerscope jobs cancel {self.id}`."
        ) * self.left
        return f"The process of job {self.id} was killed: it ended without a word.{more}"

    @property
    def left(self) -> bool:
        """Whether it left something behind that others have to take away."""
        return (self.folder / LEFT).exists()

    @property
    def ended(self) -> float | None:
        """Unix time of its end; None if it runs, or died without telling."""
        ended = self._result().get("ended")
        return float(ended) if isinstance(ended, int | float) else None

    @property
    def process(self) -> int | None:
        """Id of the job's process, which is its only while the job is locked."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "lock").read_text())
        return None

    def locked(self) -> bool:
        """Whether its process lives."""
        try:
            fd = os.open(self.folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _result(self) -> dict[str, Any]:
        return read_result(self.folder)


def read_job(folder: Path) -> Job | None:
    """The job of a folder, or None if it is no job's."""
    try:
        document = json.loads((folder / "job.json").read_bytes())
        return Job(
            id=folder.name,
            folder=folder,
            kind=str(document["kind"]),
            title=str(document["title"]),
            started=float(document["started"]),
            directory=str(document["directory"]),
            spec=dict(document["spec"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
