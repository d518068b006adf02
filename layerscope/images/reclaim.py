"""What removing images would free, from who shares which layers, before anything is removed.

The rules are those of `docker rmi`: an image goes with its last name, unless a container or an
image that was built on it still needs it; with it go untagged images that it was built on. A layer
goes with the last image that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Held:
    """An image and what holds it.

    Attributes:
        id: Its id.
        tags: Its names, `repository:tag`.
        layers: Chain ids of its layers, base first.
        parent: Id of the image that it was built on, if the engine knows one; else empty.
        containers: Names of the containers that were made from it, with their states.
        created: Unix time.
    """

    id: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]
    parent: str = ""
    containers: tuple[tuple[str, str], ...] = ()
    created: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """A size that may not be known exactly.

    Attributes:
        least: Bytes at least.
        most: Bytes at most; None if that is not known.
    """

    least: int
    most: int | None

    @property
    def exact(self) -> bool:
        """Whether it is known to the byte."""
        return self.least == self.most


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something that was named is not removed.

    Attributes:
        name: What was named.
        containers: The containers that need it.
    """

    name: str
    containers: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Plan:
    """What removing some images would do.

    Attributes:
        untagged: Names that go while their image stays, with the names or the reason it stays for.
        removed: Images that go, each before those that it was built on.
        obstacles: What is in the way of the rest.
        layers: Chain ids of the layers that go with them.
        freed: Bytes that this frees.
    """

    untagged: list[tuple[str, str]] = field(default_factory=list)
    removed: list[Held] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)
    layers: tuple[str, ...] = ()
    freed: Bounds = Bounds(0, 0)


@dataclass(frozen=True, slots=True)
class Holdings:
    """All images of an engine.

    Attributes:
        images: The images, by id, those that others were built on included.
        measure: Gives the size of some layers of an image, the topmost ones of it: takes its id and
            how many of them. Called for images that go.
        hidden_users: Whether something that is not known may use layers too, such as a build cache.
    """

    images: Mapping[str, Held]
    measure: Callable[[str, int], Bounds]
    hidden_users: bool = False


def plan(holdings: Holdings, wanted: Iterable[tuple[str, str]]) -> Plan:
    """Works out what removing some images would do.

    Args:
        holdings: All images.
        wanted: Id of an image and a name of it; no name means the image with all its names.
    """
    result = Plan()
    names = _names(holdings.images, wanted)
    going: set[str] = set()
    for identifier, tags in names.items():
        image = holdings.images[identifier]
        if set(image.tags) - tags:
            left = ", ".join(tag for tag in image.tags if tag not in tags)
            result.untagged += [(tag, f"stays as {left}") for tag in image.tags if tag in tags]
        elif image.containers:
            name = next(iter(image.tags), identifier)
            result.obstacles.append(Obstacle(name, image.containers))
        else:
            going.add(identifier)
    children: dict[str, set[str]] = {}
    for image in holdings.images.values():
        children.setdefault(image.parent, set()).add(image.id)
    named = frozenset(going)
    _add_parents(holdings.images, going)
    _keep_parents(going, children)
    for identifier in sorted(named - going):
        image = holdings.images[identifier]
        result.untagged += [(tag, "stays, as images were built on it") for tag in image.tags]
    result.removed = sorted(
        (holdings.images[identifier] for identifier in going),
        key=lambda image: (-_depth(holdings.images, image), -image.created, image.id),
    )
    result.layers, result.freed = _freed(holdings, result.removed, going)
    return result


def _names(images: Mapping[str, Held], wanted: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """For each image that is named, which names are to go."""
    names: dict[str, set[str]] = {}
    for identifier, name in wanted:
        tags = images[identifier].tags
        names.setdefault(identifier, set()).update([name] if name in tags else tags)
    return names


def _add_parents(images: Mapping[str, Held], going: set[str]) -> None:
    """Adds the untagged images that those that go were built on."""
    pending = list(going)
    while pending:
        parent = images.get(images[pending.pop()].parent)
        if parent is None or parent.id in going or parent.tags or parent.containers:
            continue
        going.add(parent.id)
        pending.append(parent.id)


def _keep_parents(going: set[str], children: Mapping[str, set[str]]) -> None:
    """Takes out what others that stay were built on."""
    while kept := [each for each in going if children.get(each, set()) - going]:
        going.difference_update(kept)


def _depth(images: Mapping[str, Held], image: Held) -> int:
    """How many images one was built on, one on the other."""
    depth = 0
    seen = {image.id}
    while image.parent in images and image.parent not in seen:
        image = images[image.parent]
        seen.add(image.id)
        depth += 1
    return depth


def _freed(
    holdings: Holdings, removed: Sequence[Held], going: set[str]
) -> tuple[tuple[str, ...], Bounds]:
    kept = {
        layer
        for image in holdings.images.values()
        if image.id not in going
        for layer in image.layers
    }
    counted: set[str] = set()
    layers: list[str] = []
    least, most = 0, 0
    bounded = True
    for image in removed:
        # Chain ids: what images share is a run of layers from the base.
        fresh = [layer for layer in image.layers if layer not in kept and layer not in counted]
        counted.update(fresh)
        layers += fresh
        if fresh:
            size = holdings.measure(image.id, len(fresh))
            least += size.least
            bounded = bounded and size.most is not None
            most += size.most or 0
    if holdings.hidden_users and layers:
        return tuple(layers), Bounds(0, most) if bounded else Bounds(0, None)
    return tuple(layers), Bounds(least, most if bounded else None)


def top_sizes(entries: Sequence[int], layers: int, wanted: int) -> Bounds:
    """The size of an image's topmost layers, from a history that does not say which entry has one.

    Args:
        entries: Sizes of the history entries, oldest first.
        layers: How many layers the image has.
        wanted: How many of the topmost ones are meant.
    """
    sizes = [size for size in entries if size > 0]
    empty = layers - len(sizes)
    if empty < 0:
        return Bounds(0, None)
    if wanted >= layers:
        return Bounds(sum(sizes), sum(sizes))
    # Layers without a byte may be anywhere: all of them among the topmost, or none.
    fewest = max(0, wanted - empty)
    least = sum(sizes[len(sizes) - fewest :])
    most = sum(sizes[max(0, len(sizes) - wanted) :])
    return Bounds(least, most)
