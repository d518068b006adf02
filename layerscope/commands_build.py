"""`layerscope build` and `layerscope jobs`: work that goes on when its terminal is gone."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.errors import Cancelled, LayerscopeError, UsageError
from layerscope.output import write_lines
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.jobs.job import Job
    from layerscope.jobs.journal import Event


def build(arguments: argparse.Namespace) -> int:
    """`layerscope build`."""
    from layerscope.jobs.launch import cancel, start

    request = _request(arguments)
    title = " ".join(request.tags) or request.context
    job = start("build", title, "layerscope.build.worker", request.spec())
    if arguments.detach:
        write_lines([job.id])
        return 0
    try:
        return _follow(job, arguments.json_lines)
    except KeyboardInterrupt:
        print("Stopping the build…", file=sys.stderr)
        if not cancel(job):
            raise LayerscopeError(
                f"Job {job.id} does not stop.", f"Try again: layerscope jobs cancel {job.id}."
            ) from None
        raise Cancelled from None


def jobs(arguments: argparse.Namespace) -> int:
    """`layerscope jobs`."""
    from layerscope.jobs.folder import all_jobs, job
    from layerscope.jobs.launch import cancel

    if arguments.action in (None, "list"):
        from layerscope.reports.jobs_report import jobs_document, jobs_text

        found = all_jobs()
        if getattr(arguments, "json", False):
            write_lines([json.dumps(jobs_document(found))])
        else:
            write_lines(jobs_text(found, time.time()))
        return 0
    chosen = job(arguments.id)
    if arguments.action == "attach":
        return _follow(chosen, arguments.json_lines)
    if not chosen.locked():
        print(f"Job {chosen.id} has ended already.", file=sys.stderr)
        return 1
    if not cancel(chosen):
        raise LayerscopeError(f"Job {chosen.id} does not stop.", "Its engine may not answer.")
    return 0


def _follow(job: Job, json_lines: bool) -> int:
    """Prints what a job says, from its first line on, and gives its exit code."""
    from layerscope.jobs.journal import follow

    write_lines(_json_lines(follow(job)) if json_lines else _text_lines(follow(job)), live=True)
    if not json_lines:
        write_lines(_compared(job))
    code = job.exit_code
    if code is None:
        raise LayerscopeError(
            f"Job {job.id} ended without a word: it was killed, or its disk is full.",
            f"{visible(str(job.folder))} has what it wrote.",
        )
    return code


def _json_lines(events: Iterable[Event]) -> Iterator[str]:
    from layerscope.build.events import PUBLIC

    for event in events:
        if event.get("event") in PUBLIC:
            yield json.dumps(event)


def _text_lines(events: Iterable[Event]) -> Iterator[str]:
    from layerscope.build.events import build_event
    from layerscope.reports.build_report import BuildText

    text = BuildText()
    for event in events:
        yield from text.lines(build_event(event))


def _compared(job: Job) -> Iterator[str]:
    """Where the cache broke since the last build of the same, and why."""
    from layerscope.build.compare import compare
    from layerscope.build.state import BuildState

    if job.kind != "build":
        return
    state = BuildState(job.journal)
    with suppress(OSError):
        state.read()
    found = compare(job, state)
    if found is not None and found.broken is not None:
        yield f"The cache broke at step {found.broken.step}. {found.broken.why}"


def _request(arguments: argparse.Namespace) -> BuildRequest:
    from layerscope.build.request import BuildRequest

    context = Path(arguments.context)
    if not context.is_dir():
        raise UsageError(
            f"{visible(arguments.context)} is no folder.", "Name the folder of the build context."
        )
    file = Path(arguments.file) if arguments.file else _dockerfile_in(context)
    if not file.is_file():
        raise UsageError(f"There is no file {visible(str(file))}.", "Name the Dockerfile with -f.")
    return BuildRequest(
        context=os.path.realpath(context),
        dockerfile=os.path.realpath(file),
        builder=arguments.builder,
        tags=tuple(arguments.tag),
        target=arguments.target,
        platform=arguments.platform,
        build_args=dict(_pair(text, "--build-arg") for text in arguments.build_arg),
        labels={
            name: value or "" for name, value in (_pair(t, "--label") for t in arguments.label)
        },
        no_cache=arguments.no_cache,
        pull=arguments.pull,
        network=arguments.network,
        secrets=tuple(arguments.secret),
    )


def _dockerfile_in(context: Path) -> Path:
    """The Dockerfile of a folder, under the names that engines look for."""
    for name in ("Dockerfile", "Containerfile"):
        if (context / name).is_file():
            return context / name
    return context / "Dockerfile"


def _pair(text: str, flag: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"{flag} {visible(text)} has no name.", f"Write {flag} NAME=VALUE.")
    return name, value if equals else None


if TYPE_CHECKING:
    from layerscope.build.request import BuildRequest
