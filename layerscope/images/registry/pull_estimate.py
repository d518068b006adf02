"""What a pull would fetch: the layers that an engine does not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import eq


@dataclass(frozen=True, slots=True)
class PullEstimate:
    present: tuple[bool, ...]  # Whether the engine has each layer.
    total: int  # Stored bytes of all layers, each counted once.
    missing: int  # Bytes that a pull would fetch.

    @property
    def count(self) -> int:
        return sum(self.present)


def in_common(layers: Sequence[str], others: Sequence[str]) -> int:
    """The number of lowest layers, by diff_id, that two images share."""
    return sum(takewhile(bool, map(eq, layers, others)))


def pull_estimate(
    layers: Sequence[tuple[str, int]], local: Iterable[Sequence[str]], *, by_blob: bool = False
) -> PullEstimate:
    """Estimates a pull.

    An engine with a graph driver stores a layer by its chain_id, so it fetches it again for
    another parent. An engine that stores the blobs, as containerd does, fetches each once.

    `layers` has the diff_id and the stored size of each layer, base first; `local` the diff_ids of
    each image in the engine. `by_blob` is true if the engine stores blobs.
    """
    names = [name for name, _ in layers]
    if by_blob:
        have = {name for image in local for name in image}
        present = [name in have for name in names]
    else:
        # Images share layers from the base up.
        common = max((in_common(names, image) for image in local), default=0)
        present = [index < common for index in range(len(names))]
    seen: dict[str, int] = {}
    fetched: dict[str, int] = {}
    for (name, size), is_present in zip(layers, present, strict=True):
        seen.setdefault(name, size)
        if not is_present:
            fetched.setdefault(name, size)
    return PullEstimate(tuple(present), sum(seen.values()), sum(fetched.values()))
