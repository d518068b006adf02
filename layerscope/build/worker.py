"""The process of a build: `python -m layerscope.build.worker FOLDER LOCK`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.build.api_builder import build_by_api
from layerscope.build.builders import (
    Builders,
    builders_of,
    check_files,
    check_secrets,
    refused,
)
from layerscope.build.buildkit import build_by_buildkit
from layerscope.build.cleanup import clean_up
from layerscope.build.compare import previous
from layerscope.build.embedded.images import StepImages
from layerscope.build.inputs import Inputs, base_names, gather, keep, kept
from layerscope.build.known_builds import keep_document
from layerscope.build.plan import Plan, plan_of
from layerscope.build.recorder import Recorder
from layerscope.build.request import BUILD, BuildRequest
from layerscope.build.secrets import Mask, parse_secret
from layerscope.dockerfile.context.context import Context, read_context
from layerscope.dockerfile.context.packing import excludes, hidden, pack
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.address import current_address
from layerscope.engines.builds import answers, onbuild
from layerscope.engines.docker import DockerEngine, connect
from layerscope.engines.embedded.store import Store
from layerscope.engines.engine import Engine
from layerscope.engines.podman_builds import secret_files
from layerscope.engines.waiting import waits_reported
from layerscope.errors import (
    BuildFailedError,
    Cancelled,
    EngineError,
    LayerscopeError,
    NotFoundError,
    UsageError,
)
from layerscope.images.reader import ImageReader
from layerscope.jobs.job import CANCELLED, Job
from layerscope.jobs.journal import Write
from layerscope.jobs.worker import Cancellation
from layerscope.records import replace
from layerscope.text import visible

_ANSWER = 2.0  # Seconds within which a running engine answers.
_PATIENCE = 15.0  # Seconds that a running engine may take to stop a build.
_LARGEST = 10  # How many of the context's largest files are reported.
_NAMED = 5  # How many unreadable files are named.

#: The name in the context of a Dockerfile from elsewhere; nothing else has it.
_OUTSIDE = ".layerscope.Dockerfile"


def main(arguments: list[str]) -> int:
    return BUILD.run(arguments, build)


def build(job: Job, request: BuildRequest, write: Write, cancellation: Cancellation) -> int:
    """Builds what a job asks for; returns 0 if there is an image, 1 if the build failed."""
    embedded = request.builder == "embedded"
    images = StepImages(Store()) if embedded else _EngineImages(request.export)
    recorder = Recorder(write, images)
    cancellation.on_cancel(recorder.hurry)
    try:
        with waits_reported(recorder.warning):
            if isinstance(images, StepImages):
                image = _build_embedded(job, request, images, recorder, cancellation)
            else:
                cancellation.waits_for = f"The engine at {current_address().shown}"
                with closing(cancellation.ask(connect)) as engine:
                    _allow_time_to_stop(engine, cancellation)
                    image = _build(engine, job, request, recorder, cancellation)
    except Cancelled:
        more = f" {cancellation.waits_for} did not answer; the next build cleans up there."
        recorder.failed_with(f"Cancelled.{more * job.left}")
        return CANCELLED
    except LayerscopeError as error:
        recorder.failed_with(str(error))
        return 1 if recorder.failed else error.exit_code
    recorder.finished(image, request.tags)
    return 0


def _allow_time_to_stop(engine: DockerEngine, cancellation: Cancellation) -> None:
    """Gives a cancelled build more time if its engine answers at all."""

    def ask() -> None:
        if answers(engine, _ANSWER):
            cancellation.allow(_PATIENCE)

    cancellation.on_cancel(threading.Thread(target=ask, name="layerscope-alive", daemon=True).start)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a build needs whatever builds it."""

    data: bytes  # The Dockerfile.
    document: Document
    context: Context
    plan: Plan
    inside: bool  # Whether the Dockerfile is in the context.


def _prepare(
    job: Job,
    request: BuildRequest,
    builder: str,
    builders: Builders | None,
    recorder: Recorder,
    cancellation: Cancellation,
) -> _Prepared:
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
        # BuildKit sends only what instructions ask for, and may not need it.
        recorder.warning(f"{path} cannot be read, and is not counted in the context.")

    # Builders that read only what instructions ask for, and add labels without a step.
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
    return _Prepared(data, document, context, plan, inside)


def _build_embedded(
    job: Job,
    request: BuildRequest,
    images: StepImages,
    recorder: Recorder,
    cancellation: Cancellation,
) -> str:
    # Not at the top: engines need none of it.
    from layerscope.build.embedded.builder import build_embedded
    from layerscope.engines.embedded.engine import EmbeddedEngine

    secrets = {secret.id: secret.value() for secret in map(parse_secret, request.secrets)}
    recorder.mask = Mask(secrets.values())
    prepared = _prepare(job, request, "embedded", None, recorder, cancellation)
    with _keeping_inputs(EmbeddedEngine(), job, request, prepared, cancellation):
        return build_embedded(
            request,
            prepared.document,
            prepared.plan,
            prepared.context,
            images,
            recorder,
            cancellation,
            secrets,
        )


def _build(
    engine: DockerEngine,
    job: Job,
    request: BuildRequest,
    recorder: Recorder,
    cancellation: Cancellation,
) -> str:
    cancellation.ask(lambda: clean_up(engine, job, recorder.warning))
    builders = builders_of(engine, request.builder)
    builder = builders.chosen(request.builder)
    check_secrets(builders, builder, request.secrets)
    secrets = {secret.id: secret.value() for secret in map(parse_secret, request.secrets)}
    recorder.mask = Mask(secrets.values())
    prepared = _prepare(job, request, builder, builders, recorder, cancellation)
    plan, context = prepared.plan, prepared.context
    with _keeping_inputs(engine, job, request, prepared, cancellation):
        if builder == "buildkit":
            with _detecting_loss(engine, recorder, cancellation):
                return build_by_buildkit(
                    request,
                    plan,
                    recorder,
                    cancellation,
                    lambda image: _open(image, request.export),
                    partial(_triggers, engine),
                )
        private, more = secret_files(secrets)
        name = plan.name_in_context
        added = {} if prepared.inside else {name: prepared.data}
        if builder == "podman":
            more["excludes"] = excludes(context, added)
        elif added:
            added |= hidden(context, name)
        stream = pack(
            context,
            added,
            private,
            lambda path: recorder.warning(f"{path} was removed, and is not sent."),
        )
        return build_by_api(engine, request, plan, stream, recorder, cancellation, job.folder, more)


@contextmanager
def _detecting_loss(
    engine: DockerEngine, recorder: Recorder, cancellation: Cancellation
) -> Iterator[None]:
    """Distinguishes a failed build from a lost engine, which buildx does not."""
    try:
        yield
    except BuildFailedError as error:
        if recorder.failed or cancellation.wanted:
            raise
        if not answers(engine, _ANSWER):
            whom = f"the engine at {engine.host}"
        elif "code = Unavailable" in str(error):
            whom = "BuildKit"
        else:
            raise
        raise EngineError(
            f"The connection to {whom} was lost during the build.",
            "Check that it still runs, then build again.",
        ) from None


def _warn_of_unreadable(context: Context, recorder: Recorder) -> None:
    """Warns of files that BuildKit cannot read, and silently sends empty."""
    found = [entry.path for entry in context.unreadable()]
    for path in found[:_NAMED]:
        recorder.warning(f"{path} cannot be read: instructions that use it get an empty file.")
    if len(found) > _NAMED:
        recorder.warning(f"{len(found) - _NAMED} more files cannot be read.")


@contextmanager
def _keeping_inputs(
    engine: Engine,
    job: Job,
    request: BuildRequest,
    prepared: _Prepared,
    cancellation: Cancellation,
) -> Iterator[None]:
    """Collects the inputs of a build while it runs, for comparison with the next one."""
    before = previous(job)
    context, document = prepared.context, prepared.document
    arguments = request.known_arguments
    found: list[Inputs] = []

    def look() -> None:
        known = None if before is None else kept(before.folder)
        # Nothing is compared with a build that was stopped.
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
            # Without the inputs, the next build is not compared; this one need not fail.
            with suppress(LayerscopeError, OSError):
                names = base_names(document, arguments).items()
                bases = cancellation.ask(lambda: {n: _image_id(engine, name) for n, name in names})
                keep(job.folder, replace(found[0], bases=bases))


def _triggers(engine: DockerEngine, name: str) -> tuple[str, ...]:
    # The image may be one that only BuildKit has.
    with suppress(LayerscopeError):
        return onbuild(engine, name)
    return ()


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


class _EngineImages:
    """Images of the current engine, over a connection of their own."""

    def __init__(self, export: bool) -> None:
        self._engine: DockerEngine | None = None
        self._export = export

    def height(self, image: str) -> int:
        if self._engine is None:
            self._engine = connect()
        return len(self._engine.inspect(image).layers)

    def open(self, image: str) -> ImageReader:
        return _open(image, self._export)


def _open(identifier: str, export: bool) -> ImageReader:
    # Not at the top: it imports numpy, which the builder need not wait for.
    from layerscope.engines.resolve import open_image

    return open_image(f"docker-daemon:{identifier}", export=export)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
