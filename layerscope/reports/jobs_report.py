"""`layerscope jobs`: running and finished jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from layerscope.jobs.job import Job, State
from layerscope.jobs.journal import Ending, ending
from layerscope.reports.color import BOLD, GREEN, RED, YELLOW, painted
from layerscope.text import docker_age, duration, one_line, rfc3339

_HEADER = f"{'JOB':>4}  {'KIND':<6}  {'STATE':<9}  {'STARTED':<22}  {'TOOK':>8}  TITLE"


def jobs_document(jobs: Sequence[Job]) -> dict[str, Any]:
    """The object of `jobs list --json`; times are RFC 3339 in UTC, or null."""
    return {
        "schema": "layerscope.jobs/1",
        "jobs": [
            {
                "id": job.id,
                "kind": job.kind,
                "title": job.title,
                "state": job.state.value,
                "started": rfc3339(job.started, fraction=True),
                "ended": None if job.ended is None else rfc3339(job.ended, fraction=True),
                "exit_code": job.exit_code,
                "reason": ending(job).why or None,
                "directory": job.directory,
                "journal": str(job.journal),
            }
            for job in jobs
        ],
    }


_COLORS = {
    State.RUNNING: YELLOW,
    State.FINISHED: GREEN,
    State.FAILED: RED,
    State.DIED: RED,
}


def jobs_text(jobs: Sequence[Job]) -> Iterator[str]:
    yield painted(_HEADER, BOLD)
    for job in jobs:
        state = job.state
        running = state is State.RUNNING
        end = Ending("", max(0.0, time.time() - job.started)) if running else ending(job)
        took = "" if end.seconds is None else duration(end.seconds)
        shown = painted(f"{state.value:<9}", _COLORS.get(state, ""))
        yield (
            f"{job.id:>4}  {one_line(job.kind):<6}  {shown}  "
            f"{docker_age(job.started):<22}  {took:>8}  {one_line(job.title)}"
        )
        if end.why:
            yield f"      {one_line(end.why)}"
