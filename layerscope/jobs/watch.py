"""Watches all jobs: which ones run, and which have ended since the last call."""

from __future__ import annotations

from layerscope.jobs.folder import job_numbers, jobs_folder
from layerscope.jobs.job import Job, State, read_job


class JobWatch:
    def __init__(self) -> None:
        self._running: dict[str, Job] = {}  # By number.
        self._seen: set[str] | None = None

    def look(self) -> tuple[list[Job], list[Job]]:
        """Returns the running jobs, and those that have ended since the last call.

        This is cheap: of known jobs, it only checks running ones.
        """
        numbers = set(job_numbers())
        first, seen = self._seen is None, self._seen or set()
        new = {each: job for each in numbers - seen if (job := read_job(jobs_folder() / each))}
        self._seen = (seen & numbers) | new.keys()
        running, ended = {}, []
        for number, job in (self._running | new).items():
            if job.state is State.RUNNING:
                running[number] = job
            elif number in self._running or not first:
                ended.append(job)
        self._running = running
        return list(running.values()), ended
