"""Layers that two images have in common."""

from __future__ import annotations

from layerscope.images.reader import ImageReader


def shared_layers(first: ImageReader, second: ImageReader) -> dict[int, int]:
    """Layers of the second that are known to be the same as one of the first, by number.

    What an unverified archive claims to be the same does not count: its files are compared.
    """
    keys = {first.cache_key(layer.index): layer.index for layer in first.image.layers}
    keys.pop(None, None)
    found = ((layer.index, second.cache_key(layer.index)) for layer in second.image.layers)
    return {layer: keys[key] for layer, key in found if key in keys}
