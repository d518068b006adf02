"""The journal of a job: events as JSON lines, written by one process and read by many."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.bounded import Lines, open_regular
from layerscope.jobs.job import Job
from layerscope.records import parse

Event = Mapping[str, Any]
Write = Callable[[Event], None]

ENDS = ("finished", "failed")  # The events that a job ends with.
_PERIOD = 0.05  # Seconds between polls of a journal that does not grow.

_CHUNK = 1 << 16
_CANCELLED = "Cancelled."
_TAIL = 1 << 18  # The largest last event, in bytes.
LONGEST = 64 << 20  # The largest event, in bytes; the plan of a build may be long.


class Journal:
    """Appends events. A write that fails raises OSError, and leaves no partial line."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file; raises OSError."""
        self._fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, event: Event) -> None:
        """Appends an event, visible to readers at once.

        Raises OSError if the disk is full, or the file was removed.
        """
        # Escaped, so that an event is one line, and lone surrogates survive.
        data = json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"
        if not os.fstat(self._fd).st_nlink:
            # The write would succeed, but nobody could read it.
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
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def events(path: Path) -> Iterator[Event]:
    """Yields the current events of a journal; skips damaged lines."""
    return (event for event in _read(path, lambda: True) if event is not None)


def last_event(path: Path) -> Event | None:
    """Reads only the last event of a journal; returns None if it is missing or damaged."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return None
    with suppress(ValueError, IndexError):
        return parse(lines[-1], dict[str, Any])
    return None


@dataclass(frozen=True, slots=True)
class Ending:
    #: Why it has no result, as recorded in full; "" if it has one, or if its state is enough.
    why: str
    seconds: float | None  # How long its work took; None if unknown.


def ending(job: Job) -> Ending:
    """Returns how a job has ended."""
    event = last_event(job.journal) or {}
    text = event.get("text") if event.get("event") == "failed" else None
    why = text if isinstance(text, str) and text else job.reason
    seconds = event.get("seconds") if event.get("event") in ENDS else None
    if not isinstance(seconds, int | float):
        seconds = None if job.ended is None else max(0.0, job.ended - job.started)
    return Ending("" if why == _CANCELLED else why, seconds)


def follow(job: Job) -> Iterator[Event]:
    """Yields all events of a job, including new ones, until it ends."""
    return (event for event in watch(job) if event is not None)


def watch(job: Job) -> Iterator[Event | None]:
    """Yields all events of a job until it ends, as `follow`, and None while waiting.

    The last one is `finished` or `failed`, even if the job was killed.
    """
    last: object = None
    for event in _read(job.journal, lambda: not job.locked()):
        if event is not None:
            last = event.get("event")
        yield event
    if last not in ENDS and (reason := job.reason):
        yield {"event": "failed", "text": reason}


def _read(path: Path, over: Callable[[], bool]) -> Iterator[Event | None]:
    lines = Lines(LONGEST)
    ended = False
    try:
        fd = open_regular(path)
    except FileNotFoundError:
        return
    try:
        while True:
            data = os.read(fd, _CHUNK)
            if data:
                for line in lines.feed(data):
                    with suppress(ValueError):
                        yield parse(line, dict[str, Any])
                continue
            # Reads once more after the end, for events written before it.
            if ended:
                return
            ended = over()
            if not ended:
                yield None
                time.sleep(_PERIOD)
    finally:
        os.close(fd)
