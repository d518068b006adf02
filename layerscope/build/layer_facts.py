"""What the layer of a step is: the figures that `inspect` gives of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste import LayerWaste, by_layer
from layerscope.images.cache import ChangesetCache
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.text import decode

#: Files that a layer hid and that are named.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """A layer.

    Attributes:
        diff_id: Its digest.
        size: Bytes of its regular files, each inode once.
        added: How many entries are added.
        modified: How many are modified.
        removed: How many are removed.
        wasted: Bytes that were visible below and that it hid.
        copied: Those of them that it holds again, with the same content as far as that is known.
        hidden: The largest files that it hid, with their bytes.
    """

    diff_id: str
    size: int
    added: int
    modified: int
    removed: int
    wasted: int
    copied: int = 0
    hidden: tuple[tuple[str, int], ...] = ()


def layer_facts(
    reader: ImageReader, first: int, progress: Progress | None = None
) -> tuple[dict[int, LayerFacts], tuple[int, int]]:
    """The facts of the layers of an image, from the layer `first` on.

    Returns:
        They by number; and the bytes of all layers, and those of them that can never be read.

    Raises:
        LayerscopeError: The image cannot be read.
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
    """Bytes of the regular files of the union up to a layer, each inode once."""
    if layer < 0:
        return 0
    rows = stack.union(layer)
    inodes = np.unique(stack.inodes[rows[stack.types[rows] == EntryType.FILE]])
    return int(stack.sizes[inodes].sum())
