"""What a pull would fetch: the layers that an engine does not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PullEstimate:
    """What a pull would fetch.

    Attributes:
        present: For each layer whether the engine has it.
        total: Bytes of all layers as they are stored, each once.
        missing: Bytes that a pull would fetch.
    """

    present: tuple[bool, ...]
    total: int
    missing: int

    @property
    def count(self) -> int:
        """How many layers the engine has."""
        return sum(self.present)


def pull_estimate(
    layers: Sequence[tuple[str, int]],
    local: Iterable[Sequence[str]],
    *,
    by_blob: bool = False,
) -> PullEstimate:
    """Estimates a pull.

    An engine with a graph driver keeps a layer by its chain_id: it needs it again where it lies on
    other layers. One that keeps the blobs themselves, as containerd does, needs none twice.

    Args:
        layers: diff_id and stored size of each layer, base first.
        local: The diff_ids of each image that the engine has, base first.
        by_blob: Whether it keeps blobs.
    """
    names = [name for name, _ in layers]
    if by_blob:
        have = {name for image in local for name in image}
        present = [name in have for name in names]
    else:
        common = max((_common(names, image) for image in local), default=0)
        present = [index < common for index in range(len(names))]
    seen: dict[str, int] = {}
    fetched: dict[str, int] = {}
    for (name, size), is_present in zip(layers, present, strict=True):
        seen.setdefault(name, size)
        if not is_present:
            fetched.setdefault(name, size)
    return PullEstimate(tuple(present), sum(seen.values()), sum(fetched.values()))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many layers two images have in common, counted from the base."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
