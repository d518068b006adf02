"""The layers that an engine has, to compute what a pull would download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from layerscope.engines.engine import Engine
from layerscope.errors import NotFoundError

_MOST_IMAGES = 500  # An engine takes a few milliseconds for each image.


@dataclass(frozen=True, slots=True)
class LocalLayers:
    engine: str  # The engine's name.
    images: tuple[tuple[str, ...], ...]  # The diff_ids of each image, base first.
    #: Whether it keeps layers as blobs, which any image can use, rather than only unpacked.
    by_blob: bool


def local_layers(engine: Engine) -> LocalLayers:
    images = {layers for _, layers in layers_of_images(engine, _MOST_IMAGES)}
    return LocalLayers(engine.name, tuple(images), engine.keeps_blobs)


def layers_of_images(
    engine: Engine, most: int | None = None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the ids of an engine's images, at most `most`, with their diff_ids, base first."""
    for identifier in list(dict.fromkeys(summary.id for summary in engine.images()))[:most]:
        with suppress(NotFoundError):  # Removed since.
            yield identifier, engine.inspect(identifier).layers
