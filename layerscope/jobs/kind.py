"""A kind of job: its request, its worker and its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from layerscope.errors import LayerscopeError
from layerscope.jobs import journal
from layerscope.jobs.job import Job
from layerscope.jobs.journal import Write
from layerscope.jobs.worker import Cancellation, run
from layerscope.records import Record, convert, parse

RequestT = TypeVar("RequestT", bound=Record)
EventT = TypeVar("EventT", bound=Record)


@dataclass(frozen=True)
class Kind(Generic[RequestT, EventT]):
    name: str  # Such as `build`.
    module: str  # The module that the job's process runs: its `main` calls `run`.
    #: The record of the request. Must not hold secrets, which come from the environment or files.
    request: type[RequestT]
    #: The record of an event. Every kind has `finished` and `failed`, which end the job.
    event: type[EventT]
    #: Converts the request of a repeated job.
    again: Callable[[RequestT], RequestT] = lambda request: request

    def start(self, title: str, request: RequestT, engine: str | None = None) -> Job:
        """Starts a job with a title for lists.

        It uses the current engine, or a named one.
        """
        from layerscope.jobs import launch

        return launch.start(self.name, title, self.module, request.document(), engine)

    def repeat(self, job: Job) -> Job:
        """Starts a job again: same request, same working directory, same engine."""
        from layerscope.jobs import launch

        request = self.again(self.checked_request(job))
        return launch.start(
            self.name,
            job.title,
            self.module,
            request.document(),
            job.engine or None,
            job.directory,
        )

    def run(
        self, argv: list[str], work: Callable[[Job, RequestT, Write, Cancellation], int]
    ) -> int:
        """Does the work of a job in its process; see `worker.run`."""

        def checked(job: Job, write: Write, cancellation: Cancellation) -> int:
            return work(job, self.checked_request(job), write, cancellation)

        return run(argv, checked)

    def checked_request(self, job: Job) -> RequestT:
        """Returns the request of a job; raises LayerscopeError if it is damaged."""
        request = self.request_of(job)
        if request is None:
            raise LayerscopeError(f"The request of job {job.id} is damaged.", "Start it again.")
        return request

    def request_of(self, job: Job) -> RequestT | None:
        """Returns the request of a job; None for another kind, or if it is damaged."""
        if job.kind != self.name:
            return None
        try:
            return convert(job.spec, self.request)
        except ValueError:
            return None

    def parse_event(self, line: bytes) -> EventT | None:
        """Parses a line of a journal; returns None if it is damaged."""
        try:
            return parse(line, self.event)
        except ValueError:
            return None

    def watch(self, job: Job) -> Iterator[EventT | None]:
        """Yields all events of a job until it ends, and None now and then while waiting."""
        for document in journal.watch(job):
            # Skips damaged events.
            with suppress(ValueError):
                yield None if document is None else convert(document, self.event)
