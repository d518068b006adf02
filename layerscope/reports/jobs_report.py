"""`layerscope jobs`: what runs, and what ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from layerscope.jobs.job import Job, State
from layerscope.text import docker_age, one_line, rfc3339

SCHEMA = "layerscope.jobs/1"

_HEADER = f"{'JOB':>4}  {'KIND':<6}  {'STATE':<9}  {'STARTED':<22}  {'TOOK':>8}  TITLE"


def jobs_document(jobs: Sequence[Job]) -> dict[str, Any]:
    """The object that `jobs list --json` prints; times are RFC 3339 in UTC, `ended` null before."""
    return {
        "schema": SCHEMA,
        "jobs": [
            {
                "id": job.id,
                "kind": job.kind,
                "title": job.title,
                "state": job.state.value,
                "started": rfc3339(job.started, fraction=True),
                "ended": None if job.ended is None else rfc3339(job.ended, fraction=True),
                "exit_code": job.exit_code,
                "reason": job.reason or None,
                "directory": job.directory,
                "journal": str(job.journal),
            }
            for job in jobs
        ],
    }


def jobs_text(jobs: Sequence[Job], now: float) -> Iterator[str]:
    """A line for each job, the newest first."""
    yield _HEADER
    for job in jobs:
        state = job.state
        end = now if state is State.RUNNING else job.ended
        took = "" if end is None else f"{max(0.0, end - job.started):.1f}s"
        yield (
            f"{job.id:>4}  {one_line(job.kind):<6}  {state.value:<9}  "
            f"{docker_age(job.started, now):<22}  {took:>8}  {one_line(job.title)}"
        )
        if reason := job.reason:
            yield f"      {one_line(reason)}"
