"""Cached figures of layers, so that a repeated build need not read its layers."""

from __future__ import annotations

from layerscope.build.events import LayerFacts, Measured
from layerscope.images.cache.sizes import RecordCache
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.records import Record


class _Kept(Record, frozen=True):
    facts: LayerFacts  # Of the top layer.
    totals: tuple[int, int]


def figures(reader: ImageReader, first: int, progress: Progress) -> Measured:
    """Returns the facts of an image's layers from `first` on; see `layer_facts`."""
    diff_ids = [layer.diff_id for layer in reader.image.layers]
    cache = RecordCache("figures-1", _Kept)
    layers = range(max(0, min(first, len(diff_ids) - 1)), len(diff_ids))
    known = {layer: cache.get(diff_ids[: layer + 1]) for layer in layers}
    kept = {layer: each for layer, each in known.items() if each is not None}
    if known and len(kept) == len(known):
        facts = {layer: each.facts for layer, each in kept.items() if layer >= first}
        return facts, kept[layers[-1]].totals
    # Not at the top: it imports numpy.
    from layerscope.build.layer_facts import layer_facts

    facts, totals = layer_facts(reader, first, progress)
    size, wasted = totals
    for layer in sorted(facts, reverse=True):
        cache.put(diff_ids[: layer + 1], _Kept(facts[layer], (size, wasted)))
        size, wasted = size - facts[layer].size, wasted - facts[layer].wasted
    return facts, totals
