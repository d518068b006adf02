"""The layers that an engine has, to compute what a pull would download."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.engines.engine import Engine
from layerscope.errors import NotFoundError

_MOST_IMAGES = 500  # An engine takes a few milliseconds for each image, so their number is limited.


@dataclass(frozen=True, slots=True)
class LocalLayers:
    engine: str  # The engine's name.
    images: tuple[tuple[str, ...], ...]  # The diff_ids of each image, base first.
    #: Whether it keeps layers as blobs, which any image can use, rather than unpacked on top of
    #: each other.
    by_blob: bool


def local_layers(engine: Engine) -> LocalLayers:
    images: set[tuple[str, ...]] = set()
    identifiers = dict.fromkeys(summary.id for summary in engine.images())
    for identifier in list(identifiers)[:_MOST_IMAGES]:
        try:
            inspected = engine.inspect(identifier)
        except NotFoundError:
            continue  # Removed since.
        images.add(inspected.layers)
    return LocalLayers(engine.name, tuple(images), engine.keeps_blobs)
