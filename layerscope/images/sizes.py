"""The sizes of images and their layers, in records small enough for lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from layerscope.records import Count, Record

if TYPE_CHECKING:
    from layerscope.filesystem.waste import Waste


class ImageSizes(Record, frozen=True):
    layers: tuple[Count, ...]  # For each layer, the sum of the sizes of its regular files.
    visible: Count  # The same sum over the merged view.

    @classmethod
    def of(cls, waste: Waste) -> ImageSizes:
        return cls(waste.layer_sizes, waste.visible_size)

    @property
    def size(self) -> int:
        return sum(self.layers)

    @property
    def wasted(self) -> int:
        return self.size - self.visible

    @property
    def efficiency(self) -> float:
        """Visible bytes ÷ shipped bytes; 1.0 for an empty image."""
        return self.visible / self.size if self.size else 1.0


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a list of images shows of each besides its names."""

    platforms: tuple[str, ...]  # The platforms that the engine has it for, the usual one first.
    layers: tuple[str, ...]  # The diff_ids of its layers, base first.
    sizes: ImageSizes | None = None  # None until they are known.


def unique_sizes(facts: Mapping[str, ImageFacts]) -> dict[str, int]:
    """For each image, by id, the bytes in layers that no other image has, where known.

    `facts` covers all images of an engine. Images share a layer only with all layers below it.
    """
    chains = {
        identifier: list(accumulate(fact.layers, lambda below, layer: f"{below} {layer}"))
        for identifier, fact in facts.items()
    }
    users = Counter(chain for each in chains.values() for chain in each)
    return {
        identifier: sum(
            size
            for size, chain in zip(fact.sizes.layers, chains[identifier], strict=True)
            if users[chain] == 1
        )
        for identifier, fact in facts.items()
        if fact.sizes is not None and len(fact.sizes.layers) == len(fact.layers)
    }
