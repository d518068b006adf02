"""Makes an image of a container of an engine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from layerscope.engines.engine import CommitRequest, Engine
from layerscope.engines.naming import Naming, check_name
from layerscope.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Committed:
    """An image that a commit made."""

    id: str
    name: str
    layer: int | None  # Number of the new layer; None if the container had changed nothing.
    source: str  # What opens it.


def commit(
    engine: Engine, container: str, image: str, request: CommitRequest, naming: Naming | None
) -> Committed:
    """Commits a container of an image, both by id.

    `naming` is what is known of the name that the image gets, if any. Raises EngineError if another
    image has got that since.
    """
    if naming is not None:
        check_name(engine, naming)
    made = engine.commit(container, request)
    layers, below = engine.inspect(made).layers, None
    # Docker deletes no image of a container, and yet it may be gone.
    with suppress(NotFoundError):
        below = engine.inspect(image).layers
    layer = None if layers == below else len(layers) - 1
    return Committed(made, request.name, layer, f"{engine.transport}:{request.name or made}")
