"""`layerscope build` and `layerscope jobs`: work that goes on when its terminal is gone."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from layerscope.errors import Cancelled, LayerscopeError, UsageError
from layerscope.output import write_lines
from layerscope.reports.narration import StatusLine
from layerscope.text import one_line, short_id, visible

if TYPE_CHECKING:
    from layerscope.build.asked import Answer, Asked
    from layerscope.build.events import BuildEvent
    from layerscope.jobs.job import Job
    from layerscope.jobs.journal import Event

#: Exit codes of a build that could not begin, or not end.
_NO_REPORT = (None, LayerscopeError.exit_code)


def build(arguments: argparse.Namespace) -> int:
    """`layerscope build`."""
    from layerscope.jobs.launch import cancel, held_back, start

    if arguments.json and not arguments.dry_run:
        raise UsageError("--json belongs to --dry-run.", "Events of a build are --json-lines.")
    if arguments.dry_run:
        if arguments.detach or arguments.quiet or arguments.json_lines:
            raise UsageError("--dry-run builds nothing.", "Leave out -d, -q and --json-lines.")
        return _preview(arguments)
    request = _answer(arguments).checked()
    title = " ".join(request.tags) or request.context
    job: Job | None = None
    try:
        with _stopped_by_sigterm():
            # Nothing comes between a job that runs and whoever knows of it.
            with held_back(signal.SIGINT, signal.SIGTERM):
                job = start("build", title, "layerscope.build.worker", request.spec())
            if arguments.detach:
                write_lines([job.id])
                return 0
            return _follow(job, arguments.json_lines, arguments.quiet)
    except KeyboardInterrupt:
        if job is None:
            raise
        print("Stopping the build…", file=sys.stderr)
        if not cancel(job):
            raise LayerscopeError(
                f"Job {job.id} does not stop.", f"Try again: layerscope jobs cancel {job.id}."
            ) from None
        raise Cancelled from None


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Has SIGTERM do what ctrl+c does: whoever ends a pipeline does not want its image."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def jobs(arguments: argparse.Namespace) -> int:
    """`layerscope jobs`."""
    from layerscope.jobs.folder import all_jobs, check_readable, job
    from layerscope.jobs.launch import cancel

    if arguments.action in (None, "list"):
        from layerscope.reports.jobs_report import jobs_document, jobs_text

        check_readable()
        found = all_jobs()
        if getattr(arguments, "json", False):
            write_lines([json.dumps(jobs_document(found))])
        else:
            write_lines(jobs_text(found, time.time()))
        return 0
    chosen = job(arguments.id)
    if arguments.action == "attach":
        try:
            return _follow(chosen, arguments.json_lines)
        except KeyboardInterrupt:
            if not chosen.locked():
                raise
            _say_it_goes_on(chosen)
            return Cancelled.exit_code
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
    from layerscope.build.leftovers import clean_after

    removed = clean_after(job)
    what = "1 container" if removed == 1 else f"{removed} containers"
    print(f"Job {job.id} had ended; {what} that it left removed.", file=sys.stderr)
    return 0


def _follow(job: Job, json_lines: bool, quiet: bool = False) -> int:
    """Prints what a job says, from its first line on, and gives its exit code.

    How it failed goes to stderr, as it would if it could not begin.
    """
    ends: list[BuildEvent] = []
    try:
        if json_lines:
            write_lines(_json_lines(job, ends), live=True)
        elif quiet:
            write_lines(_quiet_lines(job, ends))
        else:
            with StatusLine() as status:
                write_lines(_text_lines(job, status, ends), live=True)
                if job.exit_code not in _NO_REPORT:
                    write_lines(_compared(job))
                    write_lines(_what_next(job))
    except OSError:
        if job.locked():
            _say_it_goes_on(job)
        raise
    code = job.exit_code
    text = one_line((ends[-1].text or "") if ends else "")
    if code is None or code in _NO_REPORT:
        raise LayerscopeError(text or f"Job {job.id} ended without a word.")
    if not ends:
        print(f"layerscope: The end of what job {job.id} said is lost.", file=sys.stderr)
    elif code and (json_lines or quiet):
        print(f"layerscope: {text or 'The build failed.'}", file=sys.stderr)
    return code


def _say_it_goes_on(job: Job) -> None:
    # Stderr may be gone with what ended this.
    with suppress(OSError):
        print(
            f"The {job.kind} goes on as job {job.id}. `layerscope jobs attach {job.id}` shows it, "
            f"`layerscope jobs cancel {job.id}` stops it.",
            file=sys.stderr,
        )


def _told(job: Job, ends: list[BuildEvent]) -> Iterator[tuple[Event, BuildEvent] | None]:
    """What a job says until it ends; None now and then while it says nothing.

    Args:
        job: The job.
        ends: Takes the event that it ended with.
    """
    from layerscope.build.events import build_event
    from layerscope.jobs.journal import ENDS, watch

    for document in watch(job):
        if document is None:
            yield None
            continue
        # What a damaged journal has besides is passed over.
        with suppress(ValueError):
            event = build_event(document)
            if event.event in ENDS:
                ends.append(event)
            yield document, event


def _json_lines(job: Job, ends: list[BuildEvent]) -> Iterator[str]:
    from layerscope.build.events import PUBLIC

    for told in _told(job, ends):
        if told is not None and told[1].event in PUBLIC:
            yield json.dumps(told[0])


def _quiet_lines(job: Job, ends: list[BuildEvent]) -> Iterator[str]:
    """The image's id alone, as `docker build --quiet` has it."""
    for told in _told(job, ends):
        if told is not None and told[1].event == "finished" and told[1].image:
            yield told[1].image


def _text_lines(job: Job, status: StatusLine, ends: list[BuildEvent]) -> Iterator[str]:
    """Lines for people; what goes on while nothing is said stands in the status line."""
    from layerscope.reports.build_report import BuildText

    text = BuildText()
    for told in _told(job, ends):
        if told is None:
            status.show(text.status())
        elif told[1].event != "failed":
            for line in text.lines(told[1]):
                status.clear()
                yield line
    status.clear()
    end = ends[-1] if ends else None
    # How it ended is known when it has; an error has no report.
    if end is not None and end.event == "failed" and job.exit_code not in _NO_REPORT:
        yield ""
        print(f"layerscope: {text.failure(end)}", file=sys.stderr, flush=True)
        yield from text.lines(end)


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
    from layerscope.dockerfile.text_file import read_dockerfile

    # None where the process was started with a closed stdin.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise UsageError("Standard input is closed.", "Name the Dockerfile with -f.")
    data = read_dockerfile(stdin.buffer, "What comes by standard input")
    return data.decode("utf-8", "surrogateescape")
