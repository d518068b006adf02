"""What pruning would remove: unneeded images, stopped containers and build cache.

The rules are those of `docker image prune`, `docker container prune` and `docker builder prune`. An
image keeps its names if a remaining image was built on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from layerscope.images.reclaim import (
    BUILT_ON,
    Bounds,
    CachedStep,
    Held,
    HeldContainer,
    Holdings,
    Obstacle,
    Plan,
    plan,
)
from layerscope.text import parse_age

DANGLING, UNUSED = "dangling", "unused"


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """What to look for."""

    images: str = DANGLING  # `DANGLING`, `UNUSED`, or "" for no images.
    containers: bool = False  # Whether to remove stopped containers.
    cache: bool = False  # Whether to remove unused build cache.
    before: float | None = None  # Only what was created or last used before this Unix time.
    labels: tuple[str, ...] = ()  # `NAME` or `NAME=VALUE`; images and containers must have all.


def narrowed(request: PruneRequest, text: str, now: float) -> PruneRequest:
    """Narrows a request to the age and the labels given in a text."""
    ages = {word: parse_age(word) for word in text.split()}
    labels = tuple(word for word, age in ages.items() if age is None)
    oldest = max((age for age in ages.values() if age is not None), default=None)
    return replace(request, before=None if oldest is None else now - oldest, labels=labels)


def prune(holdings: Holdings, request: PruneRequest) -> Plan:
    containers = [
        each
        for each in holdings.stopped
        if request.containers and _fits(request, each.created, each.labels)
    ]
    holdings = without(holdings, containers)
    images = holdings.images
    children = holdings.children
    wanted = [
        image
        for image in images.values()
        if request.images
        and not (image.tags and request.images == DANGLING)
        # Intermediate images are removed with the images built on them.
        and (image.tags or image.id not in children)
        and _fits(request, image.created, image.labels)
    ]
    found = plan(holdings, [(image.id, "") for image in wanted])
    kept = {each.id: images[each.id] for each in found.untagged if each.reason == BUILT_ON}
    found.untagged = [each for each in found.untagged if each.id not in kept]
    for image in kept.values():
        names = _names(images[child] for child in sorted(children.get(image.id, ())))
        found.obstacles.append(Obstacle(", ".join(image.tags), (), names))
    if request.cache and not request.labels:
        found.cache = _removable(holdings.cache, request.before)
    return with_containers(holdings, found, containers)


def without(holdings: Holdings, containers: Sequence[HeldContainer]) -> Holdings:
    """The holdings as if these containers were gone."""
    going = {each.name for each in containers}
    images = {
        image.id: replace(
            image, containers=tuple(each for each in image.containers if each[0] not in going)
        )
        for image in holdings.images.values()
    }
    return replace(holdings, images=images)


def with_containers(holdings: Holdings, found: Plan, containers: Sequence[HeldContainer]) -> Plan:
    """Adds the removal of containers to a plan, and the bytes that both free together."""
    found.containers = list(containers)
    for each in found.others:
        found.freed += Bounds(each.size or 0, None if holdings.rough else each.size)
    if (exact := holdings.exact(found)) is not None:
        found.freed = Bounds(exact, exact)
    return found


def _fits(request: PruneRequest, created: float, labels: Mapping[str, str]) -> bool:
    if request.before is not None and created >= request.before:
        return False
    for label in request.labels:
        name, equals, value = label.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def _names(images: Iterable[Held]) -> tuple[str, ...]:
    return tuple(next(iter(image.tags), image.id) for image in images)


def _removable(entries: Sequence[CachedStep], before: float | None) -> list[CachedStep]:
    """The entries to remove, each before its parents, since an entry with children cannot go first.

    Entries shared with an image stay, since removing them frees nothing.
    """
    going = {
        each.id: each
        for each in entries
        if not (each.in_use or each.shared) and (before is None or each.used < before)
    }
    makers: dict[str, set[str]] = {}
    for each in entries:
        for parent in each.parents:
            makers.setdefault(parent, set()).add(each.id)
    while kept := [name for name in going if makers.get(name, set()) - going.keys()]:
        for name in kept:
            del going[name]
    ordered: list[CachedStep] = []
    while going:
        ready = [each for each in going.values() if not makers.get(each.id, set()) & going.keys()]
        # A cycle should not occur; its entries are then removed in any order.
        ordered += ready or list(going.values())
        for each in ready or list(going.values()):
            del going[each.id]
    return ordered
