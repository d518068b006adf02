"""Commits a container of an engine to an image."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from layerscope.engines.engine import CommitRequest, Engine
from layerscope.engines.naming import Naming, check_name
from layerscope.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Committed:
    """An image created by a commit."""

    id: str
    name: str
    layer: int | None  # Number of the new layer; None if the container had no changes.
    source: str  # The source that opens it.


def commit(
    engine: Engine, container: str, image: str, request: CommitRequest, naming: Naming | None
) -> Committed:
    """Commits a container of an image, both by id.

    `naming` is the planned name of the image, if any. Raises EngineError if the name has moved to
    another image since.
    """
    if naming is not None:
        check_name(engine, naming)
    made = engine.commit(container, request)
    layers, below = engine.inspect(made).layers, None
    # The image may be gone, although Docker does not remove images with containers.
    with suppress(NotFoundError):
        below = engine.inspect(image).layers
    layer = None if layers == below else len(layers) - 1
    return Committed(made, request.name, layer, f"{engine.transport}:{request.name or made}")
