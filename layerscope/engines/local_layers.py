"""The layers that an engine has, for what a pull would fetch of another image."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.engines.docker import Engine
from layerscope.errors import NotFoundError

#: Asking about each image takes an engine a few milliseconds; beyond this nobody waits for it.
_MOST_IMAGES = 500


@dataclass(frozen=True, slots=True)
class LocalLayers:
    """The layers that an engine has.

    Attributes:
        engine: What the engine is called.
        images: diff_ids of each image, base first.
        by_blob: Whether it keeps layers as blobs, which are good for any image, and not unpacked
            on each other.
    """

    engine: str
    images: tuple[tuple[str, ...], ...]
    by_blob: bool


def local_layers(engine: Engine) -> LocalLayers:
    """Asks an engine which layers it has.

    Raises:
        EngineError: It did not answer as it should.
    """
    images: set[tuple[str, ...]] = set()
    identifiers = dict.fromkeys(summary.id for summary in engine.images())
    for identifier in list(identifiers)[:_MOST_IMAGES]:
        try:
            inspected = engine.inspect(identifier)
        except NotFoundError:
            continue  # It was removed meanwhile.
        layers = (inspected.get("RootFS") or {}).get("Layers") or ()
        images.add(tuple(str(layer) for layer in layers))
    # A containerd snapshotter is told by what the engine says in place of a backing file system.
    status = engine.info().get("DriverStatus") or ()
    by_blob = any("containerd" in str(value) for pair in status for value in pair)
    return LocalLayers(engine.name, tuple(images), by_blob)
