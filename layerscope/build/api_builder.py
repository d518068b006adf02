"""Builds through the engine's API: the classic builder, a container and a commit for each step.

Podman answers on the same endpoint, with other words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from layerscope.build.classic_stream import ClassicParser, TriggersOf
from layerscope.build.plan import Plan
from layerscope.build.podman_stream import PodmanParser
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.engines.builds import (
    BuildStream,
    has_container,
    image_ids,
    onbuild,
    remove_build_container,
    remove_build_image,
)
from layerscope.engines.docker import Engine
from layerscope.engines.podman_builds import remove_working_containers, working_containers
from layerscope.errors import (
    BuildFailedError,
    Cancelled,
    EngineError,
    LayerscopeError,
    NotFoundError,
)
from layerscope.jobs.worker import Cancellation

#: Seconds that a stopped build is cleaned up after.
_PATIENCE = 10.0


def build_by_api(
    engine: Engine,
    request: BuildRequest,
    plan: Plan,
    context: Iterable[bytes],
    recorder: Recorder,
    wish: Cancellation,
    more: Mapping[str, str] | None = None,
) -> str:
    """Builds an image.

    Args:
        engine: The engine.
        request: What to build.
        plan: The steps of the Dockerfile.
        context: The build context as a tar stream.
        recorder: Takes the steps.
        wish: The wish to stop.
        more: Query parameters that are this builder's own.

    Returns:
        Id of the image.

    Raises:
        LayerscopeError: The build failed, or was stopped.
    """
    for step in plan.steps if plan.heredocs else ():
        if step.number in plan.heredocs:
            builder = "Podman's" if engine.is_podman else "The classic"
            text = f"{builder} builder may not know heredocs; BuildKit does."
            recorder.warning(text, step.number, step.line)
    known = image_ids(engine)
    working = working_containers(engine) if engine.is_podman else frozenset()
    made: list[str] = []
    parser = _parser(engine, plan, recorder, known, made)
    parameters = _parameters(request, plan, engine) | dict(more or {})
    try:
        stream = BuildStream(engine, parameters, _until(context, wish))
        wish.on_cancel(stream.stop)
        try:
            for message in stream.messages():
                parser.feed(message)
        finally:
            stream.close()
        parser.end()
        wish.check()
    except (LayerscopeError, OSError):
        if wish.wanted:
            # What is being measured is looked at before it goes.
            recorder.drain()
            _clean(engine, parser, made, working)
            raise Cancelled from None
        raise
    if parser.problem:
        raise BuildFailedError(f"The build failed: {parser.problem}")
    if parser.image is None:
        raise EngineError(
            f"The connection to the engine at {engine.host} broke off in the middle of the build.",
            "Check that it still runs, then build again: what is committed is a cache hit.",
        )
    return parser.image


def _parser(
    engine: Engine, plan: Plan, recorder: Recorder, known: frozenset[str], made: list[str]
) -> ClassicParser | PodmanParser:
    def full_id(name: str) -> str | None:
        try:
            identifier = str(engine.inspect(name)["Id"])
        except (NotFoundError, KeyError):
            return None
        identifier = identifier if ":" in identifier else f"sha256:{identifier}"
        if identifier not in known:
            made.append(identifier)
        return identifier

    def is_gone(container: str) -> bool:
        return not has_container(engine, container)

    if engine.is_podman:
        return PodmanParser(recorder, plan, full_id, lambda identifier: identifier not in known)

    def triggers(image: str) -> TriggersOf | None:
        identifier = full_id(image)
        found = None if identifier is None else onbuild(engine, identifier)
        return TriggersOf(identifier, found) if identifier and found else None

    def below(image: str, count: int) -> list[str]:
        images = [image]
        while len(images) < count:
            parent = engine.inspect(images[0]).get("Parent")
            if not isinstance(parent, str) or not parent or full_id(parent) is None:
                return []
            images.insert(0, parent)
        return images

    return ClassicParser(recorder, plan, is_gone, full_id, triggers, below)


def _until(context: Iterable[bytes], wish: Cancellation) -> Iterable[bytes]:
    for piece in context:
        wish.check()
        yield piece


def _parameters(request: BuildRequest, plan: Plan, engine: Engine) -> dict[str, Any]:
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
    engine: Engine,
    parser: ClassicParser | PodmanParser,
    made: list[str],
    working: frozenset[str],
) -> None:
    """Takes away what a stopped build leaves: containers, and images that nothing names."""
    tasks: list[Callable[[], None]] = []
    if isinstance(parser, PodmanParser):
        windows = parser.windows
        tasks.append(lambda: remove_working_containers(engine, working, windows))
    elif parser.container is not None:
        tasks.append(partial(remove_build_container, engine, parser.container))
    tasks += [partial(remove_build_image, engine, image) for image in dict.fromkeys(made[::-1])]
    # The engine may take a moment to see that nobody listens any more.
    until = time.monotonic() + _PATIENCE
    while tasks:
        try:
            tasks[0]()
        except LayerscopeError:
            if time.monotonic() < until:
                time.sleep(0.2)
                continue
        tasks.pop(0)
