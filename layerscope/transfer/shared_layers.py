"""Images without the layers that the receiver has, and completing them there."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.engines.engine import Engine
from layerscope.engines.local_layers import layers_of_images
from layerscope.errors import LayerscopeError
from layerscope.images.image import Image
from layerscope.images.registry.pull_estimate import in_common
from layerscope.text import plural, visible


def best_base(engine: Engine, layers: Sequence[str]) -> tuple[str, int]:
    """Returns the id of an engine's image that shares most of the lowest layers, and their number.

    The id is "" if no image shares any.
    """
    shared = {
        identifier: in_common(layers, others) for identifier, others in layers_of_images(engine)
    }
    best = max(shared, key=shared.__getitem__, default="")
    count = shared.get(best, 0)
    return best if count else "", count


def left_out(image: Image) -> int:
    """Returns how many of the lowest layers an archive omits.

    Raises LayerscopeError if it lacks others.
    """
    count = len(image.missing)
    if any(layer.index >= count for layer in image.missing):
        raise LayerscopeError(
            f"{visible(image.source)} lacks layers in the middle of the image.", "Save it again."
        )
    return count


def base_of(engine: Engine, image: Image) -> str:
    """Returns the id of an engine's image that has the layers that an archive omits.

    Raises LayerscopeError if there is none.
    """
    count = left_out(image)
    base, there = best_base(engine, [layer.diff_id for layer in image.layers])
    if there < count:
        lowest = f"The archive leaves out the lowest {plural(count, 'layer')} of the image"
        raise LayerscopeError(
            f"{lowest}, and {engine.name} has {there or 'none'} of them.",
            "Load or pull an image with these layers first, or save the whole image.",
        )
    return base
