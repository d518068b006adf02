"""Builds through the engine's API: the classic builder, a container and a commit for each step.

Podman answers on the same endpoint, with other words.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from layerscope.build.classic_stream import ClassicParser, TriggersOf
from layerscope.build.leftovers import Leftovers, done_patiently, forget, note, take_away
from layerscope.build.plan import Plan
from layerscope.build.podman_stream import PodmanParser
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.engines.builds import (
    BuildStream,
    answers,
    has_container,
    image_ids,
    new_images_below,
    onbuild,
    remove_build_image,
)
from layerscope.engines.docker import Engine
from layerscope.engines.podman_builds import crashes_at_required, working_containers
from layerscope.errors import (
    BuildFailedError,
    Cancelled,
    EngineError,
    LayerscopeError,
    NotFoundError,
    UsageError,
)
from layerscope.jobs.worker import Cancellation

#: A mount of a secret that is `required`, without a value.
_BARE = re.compile(r"--mount=\S*type=secret\S*,required(?=[,\s])")

#: Seconds that a stopped build is cleaned up after.
_PATIENCE = 10.0
#: Seconds in which an engine that runs says so.
_ANSWER = 2.0


def build_by_api(
    engine: Engine,
    request: BuildRequest,
    plan: Plan,
    context: Iterable[bytes],
    recorder: Recorder,
    wish: Cancellation,
    folder: Path,
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
        folder: The job's, where it is noted what the build has in the engine.
        more: Query parameters that are this builder's own.

    Returns:
        Id of the image.

    Raises:
        LayerscopeError: The build failed, or was stopped.
    """
    if plan.steps and all(step.keyword == "ARG" for step in plan.steps):
        # Docker's classic builder breaks the connection off where there is nothing else.
        raise BuildFailedError("The build failed: There is no FROM.", "Begin a stage with FROM.")
    for step in plan.steps if plan.heredocs else ():
        if step.number in plan.heredocs:
            builder = "Podman's" if engine.is_podman else "The classic"
            text = f"{builder} builder may not know heredocs; BuildKit does."
            recorder.warning(text, step.number, step.line)
    if engine.is_podman and crashes_at_required(engine):
        bare = next((step for step in plan.steps if _BARE.search(step.text)), None)
        if bare is not None:
            raise UsageError(
                f"{engine.name} crashes at a secret that is `required` without a value.",
                f"Write required=true in line {bare.line}.",
            )
    known = wish.ask(lambda: image_ids(engine))
    working = wish.ask(lambda: working_containers(engine)) if engine.is_podman else frozenset()
    made: list[str] = []
    parser = _parser(engine, plan, recorder, known, made, wish)
    left = Leftovers(engine.host)
    parameters = _parameters(request, plan, engine) | dict(more or {})
    try:
        stream = wish.ask(lambda: BuildStream(engine, parameters, _until(context, wish)))
        wish.on_cancel(stream.stop)
        try:
            for message in stream.messages():
                parser.feed(message)
                if (now := _left(engine, parser, working)) != left:
                    left = now
                    note(folder, left)
        finally:
            stream.close()
        parser.end()
        wish.check()
    except (LayerscopeError, OSError):
        if wish.wanted:
            _clean(engine, folder, _left(engine, parser, working), made, recorder, wish)
            raise Cancelled from None
        raise
    forget(folder)
    if parser.problem:
        raise BuildFailedError(f"The build failed: {parser.problem}")
    if parser.image is None:
        raise EngineError(
            f"The connection to the engine at {engine.host} broke off in the middle of the build.",
            "Check that it still runs, then build again: what is committed is a cache hit.",
        )
    return parser.image


def _parser(
    engine: Engine,
    plan: Plan,
    recorder: Recorder,
    known: frozenset[str],
    made: list[str],
    wish: Cancellation,
) -> ClassicParser | PodmanParser:
    def full_id(name: str) -> str | None:
        try:
            identifier = str(wish.ask(lambda: engine.inspect(name))["Id"])
        except (NotFoundError, KeyError):
            return None
        identifier = identifier if ":" in identifier else f"sha256:{identifier}"
        if identifier not in known:
            made.append(identifier)
        return identifier

    def is_gone(container: str) -> bool:
        return not wish.ask(lambda: has_container(engine, container))

    if engine.is_podman:
        return PodmanParser(recorder, plan, full_id, lambda identifier: identifier not in known)

    def triggers(image: str) -> TriggersOf | None:
        identifier = full_id(image)
        if identifier is None:
            return None
        found = wish.ask(lambda: onbuild(engine, identifier))
        return TriggersOf(identifier, found) if found else None

    def below(image: str, count: int) -> list[str]:
        images = [image]
        while len(images) < count:
            parent = wish.ask(lambda: engine.inspect(images[0]).get("Parent"))
            if not isinstance(parent, str) or not parent or full_id(parent) is None:
                return []
            images.insert(0, parent)
        return images

    def runs(container: str) -> None:
        # It may be gone again, and with it what it was made of.
        with contextlib.suppress(NotFoundError):
            made.extend(wish.ask(lambda: new_images_below(engine, container, known)))

    return ClassicParser(recorder, plan, is_gone, full_id, triggers, below, runs)


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


def _left(
    engine: Engine, parser: ClassicParser | PodmanParser, working: frozenset[str]
) -> Leftovers:
    """What the build would leave in the engine if it ended now."""
    if isinstance(parser, PodmanParser):
        return Leftovers(engine.host, working=working, windows=dict(parser.windows))
    return Leftovers(engine.host, container=parser.container)


def _clean(
    engine: Engine,
    folder: Path,
    left: Leftovers,
    made: list[str],
    recorder: Recorder,
    wish: Cancellation,
) -> None:
    """Takes away what a stopped build leaves: containers, and images that nothing names.

    With an engine that does not answer, that is left to the next build.
    """
    note(folder, left)
    wish.allow(_ANSWER + 1)
    if not answers(engine, _ANSWER):
        return
    wish.allow(_PATIENCE + 2 * _ANSWER)
    # What is being measured is looked at before it goes.
    recorder.drain()
    tasks: list[Callable[[], object]] = [partial(take_away, engine, left)]
    tasks += [partial(remove_build_image, engine, image) for image in dict.fromkeys(made[::-1])]
    if done_patiently(tasks, _PATIENCE):
        forget(folder)
    if recorder.last_image in made:
        recorder.last_image = None
