"""The figures of a step's layer, as `inspect` shows them."""

from __future__ import annotations

import numpy as np

from layerscope.build.events import LayerFacts, Measured
from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste import LayerWaste, by_layer
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.text import decode

_NAMED = 3  # The most hidden files to name.


def layer_facts(reader: ImageReader, first: int, progress: Progress | None = None) -> Measured:
    """Returns the facts of an image's layers from `first` on.

    Raises LayerscopeError if the image cannot be read.
    """
    loaded = load(reader, progress or Progress(), cache=ChangesetCache())
    stack = loaded.stack
    facts = {}
    lost = {found.layer: found for found in by_layer(stack, _NAMED)}
    below = _visible_size(stack, min(first, stack.height) - 1)
    for layer in range(first, stack.height):
        size, visible = stack.layer_size(layer), _visible_size(stack, layer)
        counts = stack.counts(layer)
        facts[layer] = LayerFacts(
            loaded.image.layers[layer].diff_id,
            size,
            counts[Change.ADDED],
            counts[Change.MODIFIED],
            counts[Change.REMOVED],
            below + size - visible,
            *_hidden(lost.get(layer)),
        )
        below = visible
    total = sum(map(stack.layer_size, range(stack.height)))
    return facts, (total, total - below)


def _hidden(lost: LayerWaste | None) -> tuple[int, tuple[tuple[str, int], ...]]:
    if lost is None:
        return 0, ()
    return lost.copied, tuple(("/" + decode(path), size) for path, size in lost.paths)


def _visible_size(stack: Stack, layer: int) -> int:
    """Returns the bytes of regular files in the merged view up to a layer, each inode once."""
    if layer < 0:
        return 0
    rows = stack.union(layer)
    inodes = np.unique(stack.inodes[rows[stack.types[rows] == EntryType.FILE]])
    return int(stack.sizes[inodes].sum())
