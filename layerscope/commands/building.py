"""`layerscope build` and `layerscope jobs`: work that goes on when its terminal is gone."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from layerscope.errors import Cancelled, LayerscopeError, UsageError
from layerscope.output import write_lines
from layerscope.reports.narration import StatusLine
from layerscope.text import one_line, short_id, visible

if TYPE_CHECKING:
    from layerscope.build.asked import Answer, Asked
    from layerscope.jobs.job import Job
    from layerscope.jobs.journal import Event


def build(arguments: argparse.Namespace) -> int:
    """`layerscope build`."""
    from layerscope.jobs.launch import cancel, start

    if arguments.json and not arguments.dry_run:
        raise UsageError("--json belongs to --dry-run.", "Events of a build are --json-lines.")
    if arguments.dry_run:
        if arguments.detach or arguments.quiet or arguments.json_lines:
            raise UsageError("--dry-run builds nothing.", "Leave out -d, -q and --json-lines.")
        return _preview(arguments)
    request = _answer(arguments).checked()
    title = " ".join(request.tags) or request.context
    job = start("build", title, "layerscope.build.worker", request.spec())
    if arguments.detach:
        write_lines([job.id])
        return 0
    try:
        return _follow(job, arguments.json_lines, arguments.quiet)
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
        if chosen.left:
            return _take_away(chosen)
        print(f"Job {chosen.id} has ended already.", file=sys.stderr)
        return 1
    if not cancel(chosen):
        raise LayerscopeError(f"Job {chosen.id} does not stop.", "Its engine may not answer.")
    return 0


def _take_away(job: Job) -> int:
    """Removes what a job that was killed has left in its engine."""
    from contextlib import closing

    from layerscope.build.leftovers import forget, noted, take_away
    from layerscope.engines.address import Address, current_address
    from layerscope.engines.docker import connect

    left = noted(job.folder)
    if left is not None:
        address = current_address()
        if address.host != left.engine:
            address = Address(left.engine, None, "the job")
        with closing(connect(address)) as engine:
            removed = take_away(engine, left)
        what = "1 container" if removed == 1 else f"{removed} containers"
        print(f"Job {job.id} had ended; {what} that it left removed.", file=sys.stderr)
    forget(job.folder)
    return 0


def _follow(job: Job, json_lines: bool, quiet: bool = False) -> int:
    """Prints what a job says, from its first line on, and gives its exit code."""
    from layerscope.jobs.journal import follow

    ends: list[str] = []

    def told() -> Iterator[Event]:
        for event in follow(job):
            if event.get("event") == "failed":
                ends.append(str(event.get("text") or ""))
            yield event

    if json_lines:
        write_lines(_json_lines(told()), live=True)
    elif quiet:
        write_lines(_quiet_lines(told()))
    else:
        with StatusLine() as status:
            write_lines(_text_lines(job, status, ends), live=True)
    code = job.exit_code
    if code is None or code == LayerscopeError.exit_code:
        # No answer, but an error, which belongs on stderr whatever stdout takes.
        raise LayerscopeError(one_line(ends[-1] if ends else f"Job {job.id} ended without a word."))
    if quiet and code and ends:
        print(f"layerscope: {one_line(ends[-1] or 'The build failed.')}", file=sys.stderr)
    elif not quiet and not json_lines:
        write_lines(_compared(job))
        write_lines(_what_next(job))
    return code


def _json_lines(events: Iterable[Event]) -> Iterator[str]:
    from layerscope.build.events import PUBLIC

    for event in events:
        if event.get("event") in PUBLIC:
            yield json.dumps(event)


def _quiet_lines(events: Iterable[Event]) -> Iterator[str]:
    """The image's id alone, as `docker build --quiet` has it."""
    from layerscope.build.events import build_event

    for document in events:
        event = build_event(document)
        if event.event == "finished" and event.image:
            yield event.image


def _text_lines(job: Job, status: StatusLine, ends: list[str]) -> Iterator[str]:
    """Lines for people; what goes on while nothing is said stands in the status line.

    Args:
        job: The job.
        status: The status line.
        ends: Takes the texts that it ended with, which for an error are no lines here.
    """
    from layerscope.build.events import build_event
    from layerscope.jobs.journal import watch
    from layerscope.reports.build_report import BuildText

    text = BuildText()
    failure: Event | None = None
    for event in watch(job):
        if event is None:
            status.show(text.status())
            continue
        if event.get("event") == "failed":
            ends.append(str(event.get("text") or ""))
            # How it ended is known when it has.
            failure = event
            continue
        for line in text.lines(build_event(event)):
            status.clear()
            yield line
    if failure is not None and job.exit_code not in (None, LayerscopeError.exit_code):
        yield from text.lines(build_event(failure))


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
        yield f"Cache    broke at step {found.broken.label}: {found.broken.why}"


def _what_next(job: Job) -> Iterator[str]:
    """Which command looks at what was built."""
    from layerscope.build.state import BuildState

    state = BuildState(job.journal)
    with suppress(OSError):
        state.read()
    end = state.end
    if end is not None and end.event == "finished" and end.image:
        name = end.tags[0] if end.tags else short_id(end.image)
        yield f"Look     layerscope docker-daemon:{visible(name)}"


def _preview(arguments: argparse.Namespace) -> int:
    """What would be built, and what would be sent for it."""
    from layerscope.build.preview import preview
    from layerscope.reports.preview_report import preview_document, preview_text

    found = _answer(arguments)
    found.checked()
    seen = preview(found)
    if arguments.json:
        write_lines([json.dumps(preview_document(seen))])
    else:
        write_lines(preview_text(seen))
    return 1 if seen.problem else 0


def _answer(arguments: argparse.Namespace) -> Answer:
    """The build that the command line asks for, or what is wrong with it."""
    from layerscope.build.asked import Asked, answer, asked_of, filled
    from layerscope.build.known_builds import last_build
    from layerscope.build.request import build_request

    asked = _asked(arguments)
    if not arguments.again:
        return answer(asked)
    if asked.text is not None:
        raise UsageError("What comes by stdin was never built.", "Name the Dockerfile with -f.")
    found = answer(Asked(asked.context, asked.dockerfile))
    found.checked()
    last = None if found.dockerfile is None else last_build(found.dockerfile)
    if last is None:
        name = visible(str(found.dockerfile))
        raise UsageError(f"No build of {name} is kept.", "Build it without --again first.")
    return answer(filled(asked, asked_of(build_request(last.spec))), offer=found.offer)


def _asked(arguments: argparse.Namespace) -> Asked:
    from layerscope.build.asked import Asked

    from_stdin = arguments.file == "-"
    return Asked(
        context=arguments.context,
        dockerfile="" if from_stdin else arguments.file or "",
        tags=arguments.tag,
        target=arguments.target,
        build_args=arguments.build_arg,
        labels=arguments.label,
        secrets=arguments.secret,
        platform=arguments.platform,
        network=arguments.network,
        builder=arguments.builder,
        no_cache=arguments.no_cache,
        pull=arguments.pull,
        text=_read_stdin() if from_stdin else None,
        export=arguments.export,
    )


def _read_stdin() -> str:
    # None where the process was started with a closed stdin.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise UsageError("Standard input is closed.", "Name the Dockerfile with -f.")
    return stdin.buffer.read().decode("utf-8", "surrogateescape")
