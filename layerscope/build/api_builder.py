"""Builds through the engine's API: Docker's classic builder, or Podman on the same endpoint."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from layerscope.build.classic_stream import ClassicParser
from layerscope.build.cleanup import Leftovers, forget, note, remove_left, retried
from layerscope.build.plan import Plan
from layerscope.build.podman_stream import PodmanParser
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.engines.builds import (
    BuildStream,
    answers,
    has_container,
    new_images_below,
    onbuild,
    remove_build_image,
)
from layerscope.engines.docker import DockerEngine, with_algorithm
from layerscope.engines.podman_builds import working_containers
from layerscope.errors import (
    BuildFailedError,
    Cancelled,
    EngineError,
    LayerscopeError,
    NotFoundError,
)
from layerscope.jobs.worker import Cancellation

_PATIENCE = 10.0  # Seconds for cleaning up after a stopped build.
_ANSWER = 2.0  # Seconds within which a running engine answers.


def build_by_api(
    engine: DockerEngine,
    request: BuildRequest,
    plan: Plan,
    context: Iterable[bytes],
    recorder: Recorder,
    cancellation: Cancellation,
    folder: Path,
    more: Mapping[str, str],
) -> str:
    """Builds an image, and returns its id.

    `folder` is the job's folder, where the build's containers are recorded. Raises LayerscopeError
    if the build failed, or was stopped.
    """
    if plan.steps and all(step.keyword == "ARG" for step in plan.steps):
        # Docker's classic builder would close the connection.
        raise BuildFailedError("The build failed: There is no FROM.", "Begin a stage with FROM.")
    view = _EngineView(engine, cancellation)
    working: frozenset[str] = frozenset()
    if engine.is_podman:
        working = cancellation.ask(lambda: working_containers(engine))
    parser = (PodmanParser if engine.is_podman else ClassicParser)(recorder, plan, view)

    def left_now() -> Leftovers:
        windows = None if parser.windows is None else dict(parser.windows)
        return Leftovers(engine.host, parser.container, working, windows)

    left = Leftovers(engine.host)
    parameters = {**_parameters(request, plan, engine), **more}
    try:
        sent = _until(context, cancellation)
        stream = cancellation.ask(lambda: BuildStream(engine, parameters, sent))
        cancellation.on_cancel(stream.stop)
        try:
            for message in stream.messages():
                parser.feed(message)
                if (now := left_now()) != left:
                    left = now
                    note(folder, left)
        finally:
            stream.close()
        parser.end()
        cancellation.check()
    except (LayerscopeError, OSError):
        if cancellation.wanted:
            _clean(engine, folder, left_now(), view.made, recorder, cancellation)
            raise Cancelled from None
        raise
    forget(folder)
    if parser.problem:
        raise BuildFailedError(f"The build failed: {parser.problem}")
    if parser.image is None:
        raise EngineError(
            f"The connection to the engine at {engine.host} was lost during the build.",
            "Check that it still runs, then build again: committed steps are cache hits.",
        )
    return parser.image


class _EngineView:
    """The engine while it builds; see `EngineView`."""

    def __init__(self, engine: DockerEngine, cancellation: Cancellation) -> None:
        self._engine = engine
        self._ask = cancellation.ask
        # Including intermediate images.
        self._known = {entry.id for entry in self._ask(engine.all_images)}
        self.made: list[str] = []  # Ids of new images, in the order of the build.

    def full_id(self, name: str) -> str | None:
        try:
            identifier = with_algorithm(self._ask(lambda: self._engine.inspect(name)).id)
        except NotFoundError:
            return None
        if self.is_new(identifier):
            self.made.append(identifier)
        return identifier

    def is_new(self, image: str) -> bool:
        return image not in self._known

    def is_gone(self, container: str) -> bool:
        return not self._ask(lambda: has_container(self._engine, container))

    def triggers(self, image: str) -> tuple[str, tuple[str, ...]] | None:
        identifier = self.full_id(image)
        if identifier is None:
            return None
        found = self._ask(lambda: onbuild(self._engine, identifier))
        return (identifier, found) if found else None

    def chain(self, image: str, count: int) -> list[str]:
        images = [image]
        while len(images) < count:
            parent = self._ask(lambda: self._engine.inspect(images[0])).parent
            if not parent or self.full_id(parent) is None:
                return []
            images.insert(0, parent)
        return images

    def container_runs(self, container: str) -> None:
        # It may already have been removed with its image.
        with contextlib.suppress(NotFoundError):
            new = self._ask(lambda: new_images_below(self._engine, container, self._known))
            self.made.extend(new)


def _until(context: Iterable[bytes], cancellation: Cancellation) -> Iterable[bytes]:
    for piece in context:
        cancellation.check()
        yield piece


def _parameters(request: BuildRequest, plan: Plan, engine: DockerEngine) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "dockerfile": plan.name_in_context,
        "t": list(request.tags),
        "rm": "1",
        "forcerm": "1",
        "buildargs": json.dumps(request.known_arguments),
        "labels": json.dumps(dict(request.labels or {})),
    }
    if engine.is_podman:
        # Without it, only the last step is committed.
        parameters["layers"] = "1"
    optional = {
        "target": request.target,
        "platform": request.platform,
        "networkmode": request.network,
        "nocache": "1" if request.no_cache else "",
        "pull": "1" if request.pull else "",
    }
    return {**parameters, **{name: value for name, value in optional.items() if value}}


def _clean(
    engine: DockerEngine,
    folder: Path,
    left: Leftovers,
    made: list[str],
    recorder: Recorder,
    cancellation: Cancellation,
) -> None:
    """Removes what a stopped build leaves: containers, and images without names.

    If the engine does not answer, leaves that to the next build.
    """
    note(folder, left)
    cancellation.allow(_ANSWER + 1)
    if not answers(engine, _ANSWER):
        return
    cancellation.allow(_PATIENCE + 2 * _ANSWER)
    # Layers are measured before they are removed.
    recorder.drain()
    tasks: list[Callable[[], object]] = [partial(remove_left, engine, left)]
    tasks += [partial(remove_build_image, engine, image) for image in dict.fromkeys(made[::-1])]
    if retried(tasks, _PATIENCE):
        forget(folder)
    if recorder.last_image in made:
        recorder.last_image = None
