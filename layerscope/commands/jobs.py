"""Jobs that outlive their terminal: jobs, and code shared by commands that start jobs."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from layerscope.commands.stopping import as_interrupt
from layerscope.errors import Cancelled, LayerscopeError
from layerscope.jobs.job import Job
from layerscope.jobs.journal import ENDS
from layerscope.jobs.kind import Kind
from layerscope.output import say, warn, write_lines, write_report
from layerscope.status_line import StatusLine
from layerscope.text import one_line, plural, short_id, visible

#: Exit codes of a job that could not start or was killed.
_NO_REPORT = (None, LayerscopeError.exit_code)


class _Text(Protocol):
    """The events of a job as lines of text."""

    def lines(self, event: Any) -> Iterator[str]: ...

    def status(self) -> str:
        """Returns the current activity on one line, or ""."""

    def failure(self, event: Any) -> str:
        """Returns why it failed, without what its lines have already shown."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """How to show a kind of job."""

    kind: Kind[Any, Any]
    text: Callable[[], _Text]
    public: Collection[str] | None = None  # Its public events; None for all.
    afterword: Callable[[Job], Iterator[str]] = lambda _: iter(())


def _shown(job: Job) -> _Shown:
    """Raises LayerscopeError for a job of another version of layerscope."""
    if job.kind == "build":
        from layerscope.build.events import PUBLIC
        from layerscope.build.request import BUILD
        from layerscope.reports.build_report import BuildText

        return _Shown(BUILD, BuildText, PUBLIC, _after_build)
    from layerscope.reports.transfer_report import TransferText
    from layerscope.transfer.request import KINDS

    if job.kind in KINDS:
        return _Shown(KINDS[job.kind], TransferText)
    raise LayerscopeError(f"Job {job.id} is of an unknown kind, {visible(job.kind)}.")


def start_and_follow(start: Callable[[], Job], arguments: argparse.Namespace) -> int:
    """Starts a job, shows it until it ends, and returns its exit code; an interrupt cancels it."""
    from layerscope.jobs.launch import block_signals, cancel, forks

    job: Job | None = None
    try:
        # Ending the pipeline means cancelling the job.
        with as_interrupt(signal.SIGTERM):
            # No signal may arrive between the start of the job and the assignment.
            with block_signals(signal.SIGINT, signal.SIGTERM), forks():
                job = start()
            if arguments.detach:
                write_lines([job.id])
                return 0
            return _follow(job, arguments.json_lines, arguments.quiet)
    except KeyboardInterrupt:
        if job is None:
            raise
        say(f"Stopping the {job.kind}…")
        if not cancel(job):
            raise LayerscopeError(
                f"Job {job.id} does not stop.", f"Try again: layerscope jobs cancel {job.id}."
            ) from None
        raise Cancelled from None


def jobs(arguments: argparse.Namespace) -> int:
    from layerscope.jobs.folder import all_jobs, check_readable, job
    from layerscope.jobs.launch import cancel

    if arguments.action in (None, "list"):
        from layerscope.reports.jobs_report import jobs_document, jobs_text

        check_readable()
        write_report(arguments.json, jobs_document, jobs_text, all_jobs())
        return 0
    chosen = job(arguments.id)
    if arguments.action == "attach":
        try:
            return _follow(chosen, arguments.json_lines)
        except KeyboardInterrupt:
            if not chosen.locked():
                raise
            _show_it_continues(chosen)
            return Cancelled.exit_code
    if arguments.action == "repeat":
        return start_and_follow(lambda: _shown(chosen).kind.repeat(chosen), arguments)
    if not chosen.locked():
        if chosen.left:
            return _clean_up(chosen)
        say(f"Job {chosen.id} has already ended.")
        return 1
    if not cancel(chosen):
        raise LayerscopeError(f"Job {chosen.id} does not stop.", "Its engine may be hanging.")
    say(f"Job {chosen.id} was cancelled: {visible(chosen.title)}.")
    return 0


def _clean_up(job: Job) -> int:
    from layerscope.build.cleanup import clean_after

    count = plural(clean_after(job), "container")
    say(f"Job {job.id} had already ended; removed {count} that it left.")
    return 0


def _follow(job: Job, json_lines: bool, quiet: bool = False) -> int:
    """Prints all events of a job, errors to stderr, and returns its exit code."""
    ends: list[Any] = []
    try:
        if json_lines:
            write_lines(_json_lines(job, ends), live=True)
        elif quiet:
            write_lines(_quiet_lines(job, ends))
        else:
            with StatusLine() as status:
                write_lines(_text_lines(job, status, ends), live=True)
                if job.exit_code not in _NO_REPORT:
                    write_lines(_shown(job).afterword(job))
    except OSError:
        if job.locked():
            _show_it_continues(job)
        raise
    code = job.exit_code
    text = one_line((ends[-1].text or "") if ends else "")
    if code is None or code in _NO_REPORT:
        raise LayerscopeError(text or f"Job {job.id} was killed.")
    if not ends:
        warn(f"The last events of job {job.id} are lost.")
    elif code and (json_lines or quiet):
        warn(text or f"The {job.kind} failed.")
    return code


def _show_it_continues(job: Job) -> None:
    # stderr may be closed, too.
    with suppress(OSError):
        show, stop = (f"`layerscope jobs {what} {job.id}`" for what in ("attach", "cancel"))
        say(f"The {job.kind} continues as job {job.id}. {show} shows it, {stop} stops it.")


def _events(job: Job, ends: list[Any]) -> Iterator[Any | None]:
    """Yields all events of a job until it ends, and None now and then while waiting."""
    for event in _shown(job).kind.watch(job):
        if event is not None and event.event in ENDS:
            ends.append(event)
        yield event


def _json_lines(job: Job, ends: list[Any]) -> Iterator[str]:
    public = _shown(job).public
    for event in _events(job, ends):
        if event is not None and (public is None or event.event in public):
            yield json.dumps(event.document())


def _quiet_lines(job: Job, ends: list[Any]) -> Iterator[str]:
    """Yields only the image's id, as `docker build --quiet` does."""
    for event in _events(job, ends):
        if event is not None and event.event == "finished" and event.image:
            yield event.image


def _text_lines(job: Job, status: StatusLine, ends: list[Any]) -> Iterator[str]:
    """Yields lines of text; the status line shows the current activity between them."""
    text = _shown(job).text()
    for event in _events(job, ends):
        if event is None:
            status.show(text.status())
        elif event.event != "failed":
            yield from text.lines(event)
    status.clear()
    end = ends[-1] if ends else None
    # The exit code is known only now; errors have no report.
    if end is not None and end.event == "failed" and job.exit_code not in _NO_REPORT:
        yield ""
        warn(text.failure(end))
        yield from text.lines(end)


def _after_build(job: Job) -> Iterator[str]:
    """Yields where and why the cache broke since the last build, and how to open the image."""
    from layerscope.build.compare import compare
    from layerscope.build.request import source_of
    from layerscope.build.state import BuildState

    state = BuildState(job.journal)
    with suppress(OSError):
        state.read()
    found = compare(job, state)
    if found is not None and found.broken is not None:
        yield f"Cache    broke at step {found.broken.label}: {found.broken.why}"
    end = state.end
    if end is not None and end.event == "finished" and end.image:
        name = end.tags[0] if end.tags else short_id(end.image)
        yield f"Open     layerscope {visible(source_of(job, name))}"
