"""How much space removing images would free, given shared layers, before anything is removed.

The rules are those of `docker rmi`: an image is removed with its last name, unless a container or
an image built on it still needs it. Its untagged parent images are removed with it. A layer is
removed with the last image that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

#: Why an image stays although its names are removed.
BUILT_ON = "stays, as images were built on it"


@dataclass(frozen=True, slots=True)
class Held:
    """An image and what keeps it from being removed."""

    id: str
    tags: tuple[str, ...]  # Its names, `repository:tag`.
    layers: tuple[str, ...]  # chain_ids of its layers, base first.
    parent: str = ""  # Id of the image that it was built on; may be empty.
    #: Names and states of its containers.
    containers: tuple[tuple[str, str], ...] = ()
    created: int = 0  # Unix time.
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeldContainer:
    """A stopped container."""

    id: str
    name: str
    state: str
    size: int | None  # Bytes in its read-write layer; None if unknown.
    created: int = 0  # Unix time.
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CachedStep:
    """An entry of a build cache."""

    id: str
    what: str  # What created it, as its builder describes it.
    size: int  # Bytes.
    used: int = 0  # When it was last used, as Unix time.
    in_use: bool = False
    shared: bool = False  # Whether an image shares its layer, so that removing it frees nothing.
    parents: tuple[str, ...] = ()  # Ids of the entries that it was created from.


@dataclass(frozen=True, slots=True)
class Bounds:
    """A size in bytes that may not be known exactly; `most` is None if it is unknown."""

    least: int
    most: int | None

    def __add__(self, other: Bounds) -> Bounds:
        known = self.most is not None and other.most is not None
        most = (self.most or 0) + (other.most or 0)
        return Bounds(self.least + other.least, most if known else None)

    @property
    def exact(self) -> bool:
        return self.least == self.most


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An image that stays because containers or images built on it need it."""

    name: str
    containers: tuple[tuple[str, str], ...]
    built_on_it: tuple[str, ...] = ()  # Names of the images that stay.


class Untagged(NamedTuple):
    """A name that is removed while its image stays."""

    name: str
    reason: str  # Why the image stays.
    id: str  # The image that it names.


@dataclass(slots=True)
class Plan:
    untagged: list[Untagged] = field(default_factory=list)
    #: Images that are removed, each before those that it was built on.
    removed: list[Held] = field(default_factory=list)
    asked: frozenset[str] = frozenset()  # Ids of the images requested for removal.
    obstacles: list[Obstacle] = field(default_factory=list)  # Images that are needed.
    containers: list[HeldContainer] = field(default_factory=list)  # Containers to remove.
    #: Build cache entries to remove, each before those that it was created from.
    cache: list[CachedStep] = field(default_factory=list)
    layers: tuple[str, ...] = ()  # chain_ids of the layers to remove.
    freed: Bounds = Bounds(0, 0)  # Bytes that this frees.

    @property
    def empty(self) -> bool:
        return not (self.removed or self.untagged or self.containers or self.cache)

    @property
    def others(self) -> Sequence[HeldContainer | CachedStep]:
        return [*self.containers, *self.cache]

    @property
    def families(self) -> list[tuple[Held, list[Held]]]:
        """The requested images that are removed, each with the untagged ones below it.

        An untagged image below several of them is listed under the first.
        """
        others = {image.id: image for image in self.removed if image.id not in self.asked}
        found = []
        for image in self.removed:
            if image.id not in self.asked:
                continue
            below: list[Held] = []
            parent = others.pop(image.parent, None)
            while parent is not None:
                below.append(parent)
                parent = others.pop(parent.parent, None)
            found.append((image, below))
        return found


@dataclass(frozen=True, slots=True)
class Holdings:
    images: Mapping[str, Held]
    #: Returns the size of an image's topmost layers, given its id and their number.
    measure: Callable[[str, int], Bounds]
    hidden_users: bool = False  # Whether others, such as a build cache, may use layers too.
    stopped: Sequence[HeldContainer] = ()  # Stopped containers.
    cache: Sequence[CachedStep] = ()
    #: Whether containers and build cache may be larger than the engine reports.
    rough: bool = False

    @property
    def children(self) -> Mapping[str, set[str]]:
        """Ids of the images that were built on an image, by its id."""
        found: dict[str, set[str]] = {}
        for image in self.images.values():
            found.setdefault(image.parent, set()).add(image.id)
        return found

    #: Returns the exact bytes that a plan frees; None if only `measure` has an estimate.
    exact: Callable[[Plan], int | None] = lambda _: None


def plan(holdings: Holdings, wanted: Iterable[tuple[str, str]]) -> Plan:
    """Works out what removing some images would do.

    `wanted` holds image ids, each with one of its names; an empty name means all its names.
    """
    result = Plan()
    names = _names(holdings.images, wanted)
    going: set[str] = set()
    for identifier, tags in names.items():
        image = holdings.images[identifier]
        if set(image.tags) - tags:
            left = ", ".join(tag for tag in image.tags if tag not in tags)
            result.untagged += [
                Untagged(tag, f"stays as {left}", identifier) for tag in image.tags if tag in tags
            ]
        elif image.containers:
            name = next(iter(image.tags), identifier)
            result.obstacles.append(Obstacle(name, image.containers))
        else:
            going.add(identifier)
    children = holdings.children
    named = result.asked = frozenset(going)
    _add_parents(holdings.images, going)
    while kept := [each for each in going if children.get(each, set()) - going]:
        going.difference_update(kept)
    for identifier in sorted(named - going):
        image = holdings.images[identifier]
        result.untagged += [Untagged(tag, BUILT_ON, identifier) for tag in image.tags]
    result.removed = sorted(
        (holdings.images[identifier] for identifier in going),
        key=lambda image: (-_depth(holdings.images, image), -image.created, image.id),
    )
    fresh = _fresh(holdings, result.removed, going)
    result.layers = tuple(layer for layers in fresh.values() for layer in layers)
    exact = holdings.exact(result)
    result.freed = _freed(holdings, fresh) if exact is None else Bounds(exact, exact)
    return result


def _names(images: Mapping[str, Held], wanted: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for identifier, name in wanted:
        tags = images[identifier].tags
        names.setdefault(identifier, set()).update([name] if name in tags else tags)
    return names


def _add_parents(images: Mapping[str, Held], going: set[str]) -> None:
    """Adds the untagged images that the removed ones were built on."""
    pending = list(going)
    while pending:
        parent = images.get(images[pending.pop()].parent)
        if parent is None or parent.id in going or parent.tags or parent.containers:
            continue
        going.add(parent.id)
        pending.append(parent.id)


def _depth(images: Mapping[str, Held], image: Held) -> int:
    depth = 0
    seen = {image.id}
    while image.parent in images and image.parent not in seen:
        image = images[image.parent]
        seen.add(image.id)
        depth += 1
    return depth


def _fresh(holdings: Holdings, removed: Sequence[Held], going: set[str]) -> dict[str, list[str]]:
    """The layers removed with each image, except those removed with an earlier one."""
    kept = {
        layer
        for image in holdings.images.values()
        if image.id not in going
        for layer in image.layers
    }
    found = {}
    for image in removed:
        found[image.id] = [layer for layer in image.layers if layer not in kept]
        kept.update(image.layers)
    return found


def _freed(holdings: Holdings, fresh: Mapping[str, Sequence[str]]) -> Bounds:
    # By chain_id, the layers that images share are contiguous from the base.
    sizes = (holdings.measure(image, len(layers)) for image, layers in fresh.items() if layers)
    found = sum(sizes, Bounds(0, 0))
    return Bounds(0, found.most) if holdings.hidden_users and any(fresh.values()) else found


def top_sizes(entries: Sequence[int], layers: int, wanted: int) -> Bounds:
    """The size of an image's `wanted` topmost layers, from sizes of history entries, oldest first.

    It is unknown which entries have one of the image's `layers`.
    """
    sizes = [size for size in entries if size > 0]
    empty = layers - len(sizes)
    if empty < 0:
        return Bounds(0, None)
    if wanted >= layers:
        return Bounds(sum(sizes), sum(sizes))
    # Empty layers may be anywhere: all of them at the top, or none.
    fewest = max(0, wanted - empty)
    least = sum(sizes[len(sizes) - fewest :])
    most = sum(sizes[max(0, len(sizes) - wanted) :])
    return Bounds(least, most)
