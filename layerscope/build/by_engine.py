"""Builds by an engine: Docker's classic builder, BuildKit, or Podman's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

from layerscope.build.api_builder import build_by_api
from layerscope.build.builders import builders_of, check_secrets
from layerscope.build.buildkit import build_by_buildkit
from layerscope.build.cleanup import clean_up
from layerscope.build.preparing import keeping_inputs, prepare
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.build.secrets import Mask, parse_secret
from layerscope.dockerfile.context.packing import excludes, hidden, pack
from layerscope.engines.address import current_address
from layerscope.engines.builds import answers, onbuild
from layerscope.engines.docker import DockerEngine, connect
from layerscope.engines.podman_builds import secret_files
from layerscope.errors import BuildFailedError, EngineError, LayerscopeError
from layerscope.images.reader import ImageReader
from layerscope.jobs.job import Job
from layerscope.jobs.worker import Cancellation

_ANSWER = 2.0  # Seconds within which a running engine answers.
_PATIENCE = 15.0  # Seconds for a running engine to stop a build.


def build_by_engine(
    job: Job, request: BuildRequest, recorder: Recorder, cancellation: Cancellation
) -> str:
    """Builds an image with the current engine, and returns its id. Raises LayerscopeError."""
    cancellation.waits_for = f"The engine at {current_address().shown}"
    with closing(cancellation.ask(connect)) as engine:
        _allow_time_to_stop(engine, cancellation)
        return _build(engine, job, request, recorder, cancellation)


def _allow_time_to_stop(engine: DockerEngine, cancellation: Cancellation) -> None:
    """Gives a cancelled build more time if its engine answers."""

    def ask() -> None:
        if answers(engine, _ANSWER):
            cancellation.allow(_PATIENCE)

    cancellation.on_cancel(threading.Thread(target=ask, name="layerscope-alive", daemon=True).start)


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
    prepared = prepare(job, request, builder, builders, recorder, cancellation)
    plan, context = prepared.plan, prepared.context
    with keeping_inputs(engine, job, request, prepared, cancellation):
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


def _triggers(engine: DockerEngine, name: str) -> tuple[str, ...]:
    # Only BuildKit may have the image.
    with suppress(LayerscopeError):
        return onbuild(engine, name)
    return ()


class EngineImages:
    """Images of the current engine, over a separate connection."""

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
    # Not at the top: the builder need not wait for numpy.
    from layerscope.engines.resolve import open_image

    return open_image(f"docker-daemon:{identifier}", export=export)
