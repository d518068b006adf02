"""Prepares a build for any builder: Dockerfile, context, plan and inputs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.build.builders import Builders, check_files, refused
from layerscope.build.compare import previous
from layerscope.build.inputs import Inputs, base_names, gather, keep, kept
from layerscope.build.known_builds import keep_document
from layerscope.build.plan import Plan, plan_of
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.dockerfile.context.context import Context, read_context
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.engine import Engine
from layerscope.errors import Cancelled, LayerscopeError, NotFoundError, UsageError
from layerscope.jobs.job import Job
from layerscope.jobs.worker import Cancellation
from layerscope.records import replace
from layerscope.text import visible

_LARGEST = 10  # How many of the context's largest files to report.
_NAMED = 5  # The most unreadable files to name.

#: The name in the context of a Dockerfile from elsewhere; must be unique.
_OUTSIDE = ".layerscope.Dockerfile"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What every builder needs."""

    data: bytes  # The Dockerfile.
    document: Document
    context: Context
    plan: Plan
    inside: bool  # Whether the Dockerfile is in the context.


def prepare(
    job: Job,
    request: BuildRequest,
    builder: str,
    builders: Builders | None,
    recorder: Recorder,
    cancellation: Cancellation,
) -> Prepared:
    """Reads the Dockerfile and the context, and reports the plan. Raises LayerscopeError."""
    data = _dockerfile(request)
    root = Path(request.context)
    # A Dockerfile from stdin has no path.
    dockerfile = Path(request.dockerfile if request.text is None else os.devnull)
    document = parse(data.decode("utf-8", "surrogateescape"))
    arguments = request.known_arguments
    check_files(builder, dockerfile, request.ignore_file)
    for each in refused(builders, builder, document, request.target, arguments, request.instance):
        raise UsageError(each.sentence, each.hint)

    def closed(path: str) -> None:
        # BuildKit sends only files that instructions need, and may not need it.
        recorder.warning(f"{path} cannot be read, and is not counted in the context.")

    # Builders that read only files that instructions need, and add labels without a step.
    lazy = builder in ("buildkit", "embedded")
    context = read_context(
        root,
        dockerfile,
        builder,
        rules=Path(request.ignore_file) if request.ignore_file else None,
        stopped=cancellation.check,
        closed=closed if lazy else None,
    )
    if builder == "buildkit":
        _warn_of_unreadable(context, recorder)
    largest = [(entry.path, entry.size) for entry in context.largest(_LARGEST)]
    rules = None if context.ignore_file is None else context.ignore_file.name
    recorder.context(context.size, context.files, largest, context.ignored, rules)
    inside = dockerfile.is_relative_to(root)
    name = dockerfile.relative_to(root).as_posix() if inside else _OUTSIDE
    labels = None if lazy else request.labels
    plan = plan_of(document, request.target, name, arguments, labels, builder)
    recorder.plan(plan)
    with suppress(OSError):
        keep_document(job, data)
    return Prepared(data, document, context, plan, inside)


def _warn_of_unreadable(context: Context, recorder: Recorder) -> None:
    """Warns of unreadable files, which BuildKit silently sends as empty."""
    found = [entry.path for entry in context.unreadable()]
    for path in found[:_NAMED]:
        recorder.warning(f"{path} cannot be read: instructions that use it get an empty file.")
    if len(found) > _NAMED:
        recorder.warning(f"{len(found) - _NAMED} more files cannot be read.")


@contextmanager
def keeping_inputs(
    engine: Engine,
    job: Job,
    request: BuildRequest,
    prepared: Prepared,
    cancellation: Cancellation,
) -> Iterator[None]:
    """Collects the inputs of a build while it runs, for comparison with the next one."""
    before = previous(job)
    context, document = prepared.context, prepared.document
    arguments = request.known_arguments
    found: list[Inputs] = []

    def look() -> None:
        known = None if before is None else kept(before.folder)
        # A stopped build is not used for comparison.
        with suppress(Cancelled, OSError):
            found.append(gather(context, document, arguments, known, cancellation.check))
            keep(job.folder, found[0])

    thread = threading.Thread(target=look, name="layerscope-inputs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        if found and not cancellation.wanted:
            # Without inputs, the next build is not compared, but this one need not fail.
            with suppress(LayerscopeError, OSError):
                names = base_names(document, arguments).items()
                bases = cancellation.ask(lambda: {n: _image_id(engine, name) for n, name in names})
                keep(job.folder, replace(found[0], bases=bases))


def _image_id(engine: Engine, name: str) -> str:
    try:
        return engine.inspect(name).id
    except NotFoundError:
        return ""


def _dockerfile(request: BuildRequest) -> bytes:
    if request.text is not None:
        return request.text.encode("utf-8", "surrogateescape")
    try:
        return read_file(request.dockerfile)
    except OSError as error:
        raise UsageError(
            f"{visible(request.dockerfile)}: {error.strerror}.", "Name the Dockerfile with -f."
        ) from None
