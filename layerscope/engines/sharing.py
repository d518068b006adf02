"""Bytes that images share with other listed images, not with the steps of their own build.

Docker's classic builder keeps an unlisted image for each step, and removes it with the built image.
Docker counts the bytes that an image has in common with these as shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from layerscope.engines.engine import Engine
from layerscope.images.answers import ListedImage
from layerscope.images.stores.overlay2 import chain_ids


def shared_beside_steps(engine: Engine, listed: Sequence[ListedImage]) -> dict[str, int]:
    """Returns the known shared bytes of images built by the classic builder, by id."""
    names = {entry.id for entry in listed}
    everything = {entry.id: entry for entry in engine.all_images()}
    if names.issuperset(everything):
        return {}

    def below(entry: ListedImage) -> Iterator[ListedImage]:
        seen = {entry.id}
        while (entry := everything.get(entry.parent, entry)).id not in seen:
            seen.add(entry.id)
            yield entry

    built_on = {entry.id: list(below(entry)) for entry in listed}
    users = Counter(step.id for steps in built_on.values() for step in steps)
    layers = {name: chain_ids(engine.inspect(name).layers) for name in names}
    having = Counter(layer for each in layers.values() for layer in each)
    found = {}
    for name, steps in built_on.items():
        kept = [step for step in steps if step.id in names or users[step.id] > 1]
        if kept == steps:
            continue
        own = sum(having[layer] == 1 for layer in layers[name])
        base = kept[0] if kept else None
        # The image may also have layers above a common base.
        depth = 0 if base is None else len(engine.inspect(base.id).layers)
        if len(layers[name]) - own == depth:
            found[name] = 0 if base is None else base.size
    return found
