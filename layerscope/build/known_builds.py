"""Finds builds of a Dockerfile or of an image among the jobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.build.events import BuildEvent
from layerscope.build.plan import plan_of
from layerscope.build.request import BUILD
from layerscope.build.state import BuildState, BuildStep
from layerscope.content.line_matching import same_items
from layerscope.dockerfile.context.conventions import find_dockerfile
from layerscope.dockerfile.meaning.match_history import StepWaste
from layerscope.dockerfile.meaning.stages import find_stages
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.parser import parse
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import Job
from layerscope.jobs.journal import ENDS, last_event
from layerscope.records import convert
from layerscope.writing import write_whole

_DOCUMENT = "Dockerfile"  # In a job's folder: the Dockerfile as it was built.


def end_of(job: Job) -> BuildEvent | None:
    """Returns the event that ended a build; None if it has not ended or was killed."""
    try:
        event = convert(last_event(job.journal), BuildEvent)
    except ValueError:
        return None
    return event if event.event in ENDS else None


def last_build(dockerfile: Path, jobs: Iterable[Job] | None = None) -> Job | None:
    """Returns the last build of a Dockerfile; `jobs` are newest first, None for all."""
    return next(_builds_of(dockerfile, jobs), None)


def _builds_of(dockerfile: Path, jobs: Iterable[Job] | None) -> Iterator[Job]:
    wanted = os.path.realpath(dockerfile)
    for job in all_jobs() if jobs is None else jobs:
        request = BUILD.request_of(job)
        if request is not None and os.path.realpath(request.dockerfile) == wanted:
            yield job


def build_to_repeat(folder: Path, jobs: Iterable[Job] | None = None) -> Job | None:
    """Returns the build to repeat in a folder.

    It is the last build of the folder's Dockerfile or, without a Dockerfile, the last of all.
    """
    dockerfile = find_dockerfile(folder)
    if dockerfile is not None:
        return last_build(dockerfile, jobs)
    found = all_jobs() if jobs is None else jobs
    return next((job for job in found if job.kind == BUILD.name), None)


def build_of(image: str, jobs: Iterable[Job] | None = None) -> Job | None:
    """Returns the last build that created an image, by its id with the algorithm."""
    for job in all_jobs() if jobs is None else jobs:
        if job.kind == BUILD.name and image:
            end = end_of(job)
            if end is not None and end.event == "finished" and end.image == image:
                return job
    return None


@dataclass(frozen=True, slots=True)
class KnownBuild:
    """An ended build; `document` is the Dockerfile at that time, if stored."""

    job: Job
    state: BuildState
    document: Document | None


def finished_build(dockerfile: Path) -> KnownBuild | None:
    for job in _builds_of(dockerfile, None):
        end = end_of(job)
        if end is not None and end.event == "finished":
            state = BuildState(job.journal)
            try:
                state.read()
            except OSError:
                continue
            return KnownBuild(job, state, _kept_document(job))
    return None


def keep_document(job: Job, data: bytes) -> None:
    """Stores the Dockerfile of a build with its job; raises OSError."""
    write_whole(job.folder / _DOCUMENT, data)


def _kept_document(job: Job) -> Document | None:
    try:
        data = read_file(job.folder / _DOCUMENT)
    except OSError:
        return None
    return parse(data.decode("utf-8", "surrogateescape"))


def made_by(document: Document, build: KnownBuild) -> dict[int, list[BuildStep]]:
    """Returns the steps with layers of a document's instructions, by index.

    An instruction that has changed since has none; ONBUILD triggers of a base image belong to the
    FROM.
    """
    found: dict[int, list[BuildStep]] = {}
    for number, step in match_steps(document, build.state, build.document).items():
        for each in build.state.of_step(step.number):
            if each.has_layer:
                found.setdefault(number, []).append(each)
    return found


def waste_of(document: Document, build: KnownBuild) -> list[StepWaste]:
    """Returns the waste of each instruction in a build."""
    request = BUILD.request_of(build.job)
    target = request.target or None if request is not None else None
    shipped = find_stages(document).shipped(target)
    name = f"the last build (job {build.job.id})"
    return [
        StepWaste(
            number,
            name,
            None,
            event.wasted,
            event.copied or 0,
            event.hidden or (),
            step.instruction if step.trigger else "",
        )
        for number, steps in made_by(document, build).items()
        if document.instructions[number].stage in shipped
        for step in steps
        if (event := step.ended) is not None and event.wasted
    ]


def match_steps(
    document: Document, state: BuildState, built: Document | None = None
) -> dict[int, BuildStep]:
    """Returns the steps in a build of a document's instructions, by index.

    An instruction that has changed since has no step. Without `built`, the document as built,
    heredocs cannot be compared.
    """
    if built is not None:
        same = same_items(_texts(built), _texts(document))
        steps = state.steps
        return {new: steps[old + 1] for old, new in same.items() if old + 1 in steps}
    ours = [step.text for step in plan_of(document).steps]
    listed = sorted(state.steps.values(), key=lambda step: step.number)
    theirs = [" ".join(step.instruction.split()) for step in listed]
    return {a: listed[b] for a, b in same_items(ours, theirs).items()}


def _texts(document: Document) -> list[str]:
    """Returns each instruction on one line, with the content of its heredocs."""
    return [
        "\n".join([" ".join(i.joined.text.split()), *(h.content for h in i.heredocs)])
        for i in document.instructions
    ]
