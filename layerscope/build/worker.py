"""The process of a build: `python -m layerscope.build.worker FOLDER LOCK`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from layerscope.build.api_builder import build_by_api
from layerscope.build.builders import builders_of, check_secrets
from layerscope.build.buildkit import build_by_buildkit
from layerscope.build.compare import previous
from layerscope.build.inputs import Inputs, base_names, gather, keep, kept
from layerscope.build.known_builds import keep_document
from layerscope.build.leftovers import clean_up
from layerscope.build.plan import plan_of
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest, build_request
from layerscope.build.secrets import Mask, parse_secret
from layerscope.dockerfile.context import Context, read_context
from layerscope.dockerfile.context_tar import pack
from layerscope.dockerfile.document import Document
from layerscope.dockerfile.parser import parse
from layerscope.engines.address import current_address
from layerscope.engines.builds import answers, onbuild
from layerscope.engines.docker import Engine, connect
from layerscope.engines.podman_builds import secret_files
from layerscope.engines.waiting import waiting_told
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
from layerscope.jobs.journal import Event
from layerscope.jobs.worker import Cancellation, run
from layerscope.text import visible

#: Seconds in which an engine that runs says so.
_ANSWER = 2.0
#: Seconds that an engine which runs may take to stop a build.
_PATIENCE = 15.0

#: How many of the largest files are told.
_LARGEST = 10

#: How many files that may not be read are named.
_NAMED = 5

#: What a Dockerfile from elsewhere is called in the context, where nothing else is.
_OUTSIDE = ".layerscope.Dockerfile"


def main() -> int:
    """Does the build of a job."""
    return run(sys.argv[1:], build)


def build(job: Job, write: Callable[[Event], None], wish: Cancellation) -> int:
    """Builds what a job asks for.

    Returns:
        0 if there is an image, 1 if the build failed.
    """
    request = build_request(job.spec)
    recorder = Recorder(write, _EngineImages(request.export))
    wish.on_cancel(recorder.hurry)
    wish.partner = f"The engine at {visible(current_address().host)}"
    try:
        with waiting_told(recorder.warning), closing(wish.ask(connect)) as engine:
            _allow_time_to_stop(engine, wish)
            image = _build(engine, job, request, recorder, wish)
    except Cancelled:
        more = (
            f" {wish.partner} did not answer; the next build takes away what this one left there."
        )
        recorder.failed_with(f"Cancelled.{more * job.left}")
        return CANCELLED
    except LayerscopeError as error:
        recorder.failed_with(str(error))
        return 1 if recorder.failed else error.exit_code
    recorder.finished(image, request.tags)
    return 0


def _allow_time_to_stop(engine: Engine, wish: Cancellation) -> None:
    """A build that is stopped is waited for as long as its engine answers at all."""

    def ask() -> None:
        if answers(engine, _ANSWER):
            wish.allow(_PATIENCE)

    wish.on_cancel(threading.Thread(target=ask, name="layerscope-alive", daemon=True).start)


def _build(
    engine: Engine, job: Job, request: BuildRequest, recorder: Recorder, wish: Cancellation
) -> str:
    wish.ask(lambda: clean_up(engine, job, recorder.warning))
    builders = builders_of(engine, request.builder)
    builder = builders.chosen(request.builder)
    check_secrets(builders, builder, request.secrets)
    secrets = {secret.id: secret.value() for secret in map(parse_secret, request.secrets)}
    recorder.mask = Mask(secrets.values())
    data = _dockerfile(request)
    root = Path(request.context)
    # What came by stdin lies nowhere.
    dockerfile = Path(request.dockerfile if request.text is None else os.devnull)

    def closed(path: str) -> None:
        # BuildKit sends what instructions ask for, and need not want it.
        recorder.warning(f"{path} may not be read, and is not counted as part of the context.")

    context = read_context(
        root, dockerfile, stopped=wish.check, closed=closed if builder == "buildkit" else None
    )
    if builder == "buildkit":
        _warn_of_unreadable(context, recorder)
    largest = [(entry.path, entry.size) for entry in context.largest(_LARGEST)]
    recorder.context(context.size, context.files, largest, context.ignored)
    document = parse(data.decode("utf-8", "surrogateescape"))
    arguments = request.known_arguments
    inside = dockerfile.is_relative_to(root)
    name = dockerfile.relative_to(root).as_posix() if inside else _OUTSIDE
    labels = None if builder == "buildkit" else request.labels
    plan = plan_of(document, request.target, name, arguments, labels)
    recorder.plan(plan)
    with suppress(OSError):
        keep_document(job, data)
    with _keeping_inputs(engine, job, context, document, arguments, wish):
        if builder == "buildkit":
            with _losing_told(engine, recorder, wish):
                return build_by_buildkit(
                    request,
                    plan,
                    recorder,
                    wish,
                    lambda image: _open(image, request.export),
                    partial(_triggers, engine),
                )
        private, more = secret_files(secrets)
        stream = pack(
            context,
            None if inside else data,
            name,
            private,
            lambda path: recorder.warning(f"{path} is gone by now, and is not sent."),
        )
        return build_by_api(engine, request, plan, stream, recorder, wish, job.folder, more)


@contextmanager
def _losing_told(engine: Engine, recorder: Recorder, wish: Cancellation) -> Iterator[None]:
    """Tells a build that failed from one whose engine was lost, which buildx does not."""
    try:
        yield
    except BuildFailedError as error:
        if recorder.failed or wish.wanted:
            raise
        if not answers(engine, _ANSWER):
            whom = f"the engine at {visible(engine.host)}"
        elif "code = Unavailable" in str(error):
            whom = "BuildKit"
        else:
            raise
        raise EngineError(
            f"The connection to {whom} broke off in the middle of the build.",
            "Check that it still runs, then build again.",
        ) from None


def _warn_of_unreadable(context: Context, recorder: Recorder) -> None:
    """Says what BuildKit does not: it sends a file that it may not read without its content."""
    found = [entry.path for entry in context.unreadable()]
    for path in found[:_NAMED]:
        recorder.warning(f"{path} may not be read: an instruction that takes it gets it empty.")
    if len(found) > _NAMED:
        recorder.warning(f"So it is with {len(found) - _NAMED} more.")


@contextmanager
def _keeping_inputs(
    engine: Engine,
    job: Job,
    context: Context,
    document: Document,
    arguments: Mapping[str, str],
    wish: Cancellation,
) -> Iterator[None]:
    """Notes what a build is made of while it goes on, for the one that comes after it."""
    before = previous(job)
    found: list[Inputs] = []

    def look() -> None:
        known = None if before is None else kept(before.folder)
        # A build that is stopped leaves nothing to compare with.
        with suppress(Cancelled, OSError):
            found.append(gather(context, document, arguments, known, wish.check))
            keep(job.folder, found[0])

    thread = threading.Thread(target=look, name="layerscope-inputs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        if found and not wish.wanted:
            # That the next build cannot be compared with this one does not make this one fail.
            with suppress(LayerscopeError, OSError):
                names = base_names(document, arguments).items()
                bases = wish.ask(lambda: {step: _image_id(engine, name) for step, name in names})
                keep(job.folder, replace(found[0], bases=bases))


def _triggers(engine: Engine, name: str) -> tuple[str, ...]:
    # An image that only BuildKit has can be built on all the same.
    with suppress(LayerscopeError):
        return onbuild(engine, name)
    return ()


def _image_id(engine: Engine, name: str) -> str:
    try:
        return str(engine.inspect(name).get("Id", ""))
    except NotFoundError:
        return ""


def _dockerfile(request: BuildRequest) -> bytes:
    if request.text is not None:
        return request.text.encode("utf-8", "surrogateescape")
    try:
        return Path(request.dockerfile).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{visible(request.dockerfile)}: {error.strerror}.", "Name the Dockerfile with -f."
        ) from None


class _EngineImages:
    """Images of the current engine, over a connection of their own."""

    def __init__(self, export: bool) -> None:
        self._engine: Engine | None = None
        self._export = export

    def height(self, image: str) -> int:
        """How many layers an image has."""
        if self._engine is None:
            self._engine = connect()
        root = self._engine.inspect(image).get("RootFS")
        layers = root.get("Layers") if isinstance(root, dict) else None
        return len(layers or ())

    def open(self, image: str) -> ImageReader:
        """Opens an image."""
        return _open(image, self._export)


def _open(identifier: str, export: bool) -> ImageReader:
    # Not at the top: numpy comes with it, which the builder need not wait for.
    from layerscope.engines.resolve import open_image

    return open_image(f"docker-daemon:{identifier}", export=export)


if __name__ == "__main__":
    sys.exit(main())
