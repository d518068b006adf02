"""The journal of a job: events, a JSON object a line, written by one and followed by many."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from layerscope.jobs.job import Job

Event = Mapping[str, Any]

#: The events that a job ends with.
ENDS = ("finished", "failed")

#: Seconds between two looks at a journal that does not grow.
_PERIOD = 0.05

_PIECE = 1 << 16


class Journal:
    """Appends events. A write that fails raises OSError, and leaves no half line to be read."""

    def __init__(self, path: Path) -> None:
        """Opens it.

        Args:
            path: The file; it is made if need be.

        Raises:
            OSError: That is not possible.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, event: Event) -> None:
        """Appends an event; whoever follows sees it at once.

        Raises:
            OSError: The disk is full, or gone.
        """
        # Escaped, so that a line is a line, and lone surrogates survive.
        data = json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"
        if not os.fstat(self._fd).st_nlink:
            # It would take all that is written, and nobody could ever read it.
            raise FileNotFoundError(errno.ENOENT, "it was removed")
        place = os.lseek(self._fd, 0, os.SEEK_END)
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError:
            if done:
                os.ftruncate(self._fd, place)
            raise

    def close(self) -> None:
        """Closes it; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def events(path: Path) -> Iterator[Event]:
    """The events that a journal has now, from its first on; damaged lines are passed over."""
    for event in _read(path, lambda: True):
        if event is not None:
            yield event


def follow(job: Job, stop: Callable[[], bool] | None = None) -> Iterator[Event]:
    """The events of a job, from its first on, and then those that come, until it ends.

    Args:
        job: The job.
        stop: Asked now and then; ends the following when it says so.
    """
    for event in watch(job):
        if event is not None:
            yield event
        if stop is not None and stop():
            return


def watch(job: Job) -> Iterator[Event | None]:
    """The events of a job until it ends, as `follow`, and None now and then while there is none.

    The last one is `finished` or `failed`, even if the job was killed and could not tell.
    """
    last: object = None
    for event in _read(job.journal, lambda: not job.locked()):
        if event is not None:
            last = event.get("event")
        yield event
    if last not in ENDS and (reason := job.reason):
        yield {"event": "failed", "text": reason}


def _read(path: Path, over: Callable[[], bool]) -> Iterator[Event | None]:
    """Events; None whenever there is none yet."""
    rest = b""
    ended = False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        while True:
            data = os.read(fd, _PIECE)
            if data:
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    event = _parsed(line)
                    if event is not None:
                        yield event
                continue
            # What was written between the last read and the end is read once more.
            if ended:
                return
            ended = over()
            if not ended:
                yield None
                time.sleep(_PERIOD)
    finally:
        os.close(fd)


def _parsed(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
