"""Builds of a Dockerfile, or of an image, among the jobs that are kept."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from layerscope.build.events import BuildEvent, build_event
from layerscope.build.plan import plan_of
from layerscope.build.state import BuildState, BuildStep
from layerscope.dockerfile.carry import same_instructions
from layerscope.dockerfile.document import Document
from layerscope.dockerfile.facts import Facts, StepWaste, World
from layerscope.dockerfile.parser import parse
from layerscope.dockerfile.text_file import find_dockerfile
from layerscope.images.cache_folder import write_whole
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import Job

#: The last event of a journal is no longer than that.
_TAIL = 1 << 14
#: In the folder of a job, the Dockerfile as it was built.
_DOCUMENT = "Dockerfile"


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
    return next(_builds_of(dockerfile, jobs), None)


def _builds_of(dockerfile: Path, jobs: Iterable[Job] | None) -> Iterator[Job]:
    wanted = os.path.realpath(dockerfile)
    for job in all_jobs() if jobs is None else jobs:
        if job.kind == "build" and os.path.realpath(str(job.spec.get("dockerfile"))) == wanted:
            yield job


def build_to_repeat(folder: Path, jobs: Iterable[Job] | None = None) -> Job | None:
    """The build that somebody in a folder wants again, most likely.

    Args:
        folder: The folder.
        jobs: The jobs, the newest first; None for all that are kept.

    Returns:
        The last one of the folder's Dockerfile, or, where there is no Dockerfile, the last of all.
    """
    dockerfile = find_dockerfile(folder)
    if dockerfile is not None:
        return last_build(dockerfile, jobs)
    found = all_jobs() if jobs is None else jobs
    return next((job for job in found if job.kind == "build"), None)


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


@dataclass(frozen=True, slots=True)
class KnownBuild:
    """A build that is over.

    Attributes:
        job: Its job.
        state: What its journal says.
        document: The Dockerfile as it was; None if that was not kept.
    """

    job: Job
    state: BuildState
    document: Document | None


def finished_build(dockerfile: Path, jobs: Iterable[Job] | None = None) -> KnownBuild | None:
    """The last build of a Dockerfile that made an image.

    Args:
        dockerfile: The Dockerfile.
        jobs: The jobs, the newest first; None for all that are kept.
    """
    for job in _builds_of(dockerfile, jobs):
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
    """Keeps the Dockerfile of a build with its job, as it is now.

    Raises:
        OSError: That is not possible.
    """
    write_whole(job.folder / _DOCUMENT, data)


def _kept_document(job: Job) -> Document | None:
    try:
        data = (job.folder / _DOCUMENT).read_bytes()
    except OSError:
        return None
    return parse(data.decode("utf-8", "surrogateescape"))


def made_by(document: Document, build: KnownBuild) -> dict[int, list[BuildStep]]:
    """What the instructions of a document made when it was built.

    An instruction that was changed since made nothing; what a base image runs for those that build
    on it was made by the FROM.

    Args:
        document: The document.
        build: The build.

    Returns:
        For the numbers of instructions, the steps with the figures of their layers.
    """
    found: dict[int, list[BuildStep]] = {}
    matched = match_steps(document, build.state, build.document)
    for number, step in matched.items():
        for each in build.state.of_step(step.number):
            if each.has_layer:
                found.setdefault(number, []).append(each)
    return found


def waste_of(document: Document, build: KnownBuild) -> list[StepWaste]:
    """What each instruction of a document wasted when it was built.

    Args:
        document: The document.
        build: The build.
    """
    target = str(build.job.spec.get("target") or "") or None
    shipped = Facts(document, World(target=target)).shipped
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
    """Numbers of a document's instructions, and the steps of a build that they were.

    An instruction that was changed since has no step; others keep theirs.

    Args:
        document: The document.
        state: The build.
        built: The document as it was built; None if that is not known, so that what is in heredocs
            cannot be compared.
    """
    if built is not None:
        same = same_instructions(_texts(built), _texts(document))
        steps = state.steps
        return {new: steps[old + 1] for old, new in same.items() if old + 1 in steps}
    ours = [step.text for step in plan_of(document).steps]
    listed = sorted(state.steps.values(), key=lambda step: step.number)
    theirs = [" ".join(step.instruction.split()) for step in listed]
    found: dict[int, BuildStep] = {}
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for block in matcher.get_matching_blocks():
        for place in range(block.size):
            found[block.a + place] = listed[block.b + place]
    return found


def _texts(document: Document) -> list[str]:
    """Instructions, however their lines are broken, with what is in their heredocs."""
    return [
        "\n".join([" ".join(i.joined.text.split()), *(h.content for h in i.heredocs)])
        for i in document.instructions
    ]
