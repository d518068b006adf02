"""Builds of a Dockerfile, or of an image, among the jobs that are kept."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from layerscope.build.events import BuildEvent, build_event
from layerscope.build.plan import plan_of
from layerscope.build.state import BuildState, BuildStep
from layerscope.dockerfile.document import Document
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import Job

#: The last event of a journal is no longer than that.
_TAIL = 1 << 14


def end_of(job: Job) -> BuildEvent | None:
    """The event that ended a build; None if it has not ended, or not with a word."""
    try:
        with job.journal.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return None
    for line in reversed(lines):
        if line:
            try:
                event = build_event(json.loads(line))
            except (ValueError, TypeError):
                return None
            return event if event.event in ("finished", "failed") else None
    return None


def last_build(dockerfile: Path, jobs: Iterable[Job] | None = None) -> Job | None:
    """The last build of a Dockerfile.

    Args:
        dockerfile: The Dockerfile.
        jobs: The jobs, the newest first; None for all that are kept.
    """
    wanted = os.path.realpath(dockerfile)
    for job in all_jobs() if jobs is None else jobs:
        if job.kind == "build" and os.path.realpath(str(job.spec.get("dockerfile"))) == wanted:
            return job
    return None


def build_of(image: str, jobs: Iterable[Job] | None = None) -> Job | None:
    """The last build that made an image.

    Args:
        image: Id of the image, with its algorithm.
        jobs: The jobs, the newest first; None for all that are kept.
    """
    for job in all_jobs() if jobs is None else jobs:
        if job.kind == "build" and image:
            end = end_of(job)
            if end is not None and end.event == "finished" and end.image == image:
                return job
    return None


def match_steps(document: Document, state: BuildState) -> dict[int, BuildStep]:
    """Numbers of a document's instructions, and the steps of a build that they were.

    An instruction that was changed since has no step; others keep theirs.

    Args:
        document: The document.
        state: The build.
    """
    ours = [step.text for step in plan_of(document).steps]
    steps = sorted(state.steps.values(), key=lambda step: step.number)
    theirs = [" ".join(step.instruction.split()) for step in steps]
    found: dict[int, BuildStep] = {}
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for block in matcher.get_matching_blocks():
        for place in range(block.size):
            found[block.a + place] = steps[block.b + place]
    return found
