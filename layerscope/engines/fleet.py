"""The images of all engines in one list: which engines have them, and which lack layers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property

from layerscope.engines.folders import FolderEngine
from layerscope.engines.known import KnownEngine
from layerscope.engines.probing import asked, connected
from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.images.archives.save_format import same_reference
from layerscope.images.described import layer_sizes
from layerscope.images.summary import NONE, unix_time

PATIENCE = 60.0  # Seconds for all engines together to describe their images.
_SHORTEST_ID = 4


@dataclass(frozen=True, slots=True)
class Holding:
    """An image in one engine."""

    id: str  # Its id there: the digest of its configuration or, with containerd, of its manifest.
    names: tuple[str, ...]  # `repository:tag`
    digests: tuple[str, ...]  # `repository@digest`, as pulled or pushed.
    created: int  # Unix time.
    layers: tuple[str, ...]  # The diff_ids of its layers, base first.
    sizes: tuple[int | None, ...]  # Their sizes in bytes; None if not reported.


@dataclass(frozen=True, slots=True)
class FleetImage:
    """Images in engines with the same layers and creation time."""

    holdings: Mapping[str, Holding]  # By the name of the engine.

    @property
    def first(self) -> Holding:
        return next(iter(self.holdings.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for each in self.holdings.values() for name in each.names))

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The sizes of its layers, from the first engine that knows them."""
        several = zip(*(each.sizes for each in self.holdings.values()), strict=True)
        return tuple(next((s for s in sizes if s is not None), None) for sizes in several)

    @property
    def size(self) -> int | None:
        """The size of all layers; None if any is unknown."""
        return self.size_of(range(len(self.sizes)))

    def size_of(self, layers: Sequence[int]) -> int | None:
        """Returns the total size of layers, by number; None if any is unknown."""
        sizes = [self.sizes[layer] for layer in layers]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def is_named(self, name: str) -> bool:
        """Whether it has a name, an id, or a prefix of an id."""
        digits = name.removeprefix("sha256:")
        ids = (each.id.removeprefix("sha256:") for each in self.holdings.values())
        return any(same_reference(name, own) for own in self.names) or (
            len(digits) >= _SHORTEST_ID and any(own.startswith(digits) for own in ids)
        )


@dataclass(frozen=True)
class Fleet:
    engines: Sequence[KnownEngine]
    images: Sequence[FleetImage]  # The newest first.
    #: Errors of engines, for some or all of their images, by engine name.
    problems: Mapping[str, LayerscopeError] = field(default_factory=dict)
    pending: Collection[str] = ()  # Names of the engines that have not answered yet.

    def lacking(self, image: FleetImage) -> Iterator[tuple[str, list[int]]]:
        """Yields the engines that lack an image, with the numbers of the missing layers."""
        for engine in self.engines:
            if any(engine.name in known for known in (image.holdings, self.problems, self.pending)):
                continue
            there = self._layers.get(engine.name, set())
            layers = enumerate(image.first.layers)
            yield engine.name, [at for at, layer in layers if layer not in there]

    @cached_property
    def _layers(self) -> Mapping[str, set[str]]:
        """Returns the diff_ids of all layers of each engine."""
        found: dict[str, set[str]] = {}
        for image in self.images:
            for engine, held in image.holdings.items():
                found.setdefault(engine, set()).update(held.layers)
        return found


def find_fleet(engines: Sequence[KnownEngine], patience: float = PATIENCE) -> Iterator[Fleet]:
    """Lists the images of engines in parallel; yields the current result after each answer."""
    images: dict[object, dict[str, Holding]] = {}
    problems = {}
    order = {engine.name: at for at, engine in enumerate(engines)}
    pending = {*order}
    for at, answer in asked(engines, _holdings, patience):
        name = engines[at].name
        if isinstance(answer, Holding):
            key = (answer.layers, answer.created) if answer.layers else answer.id
            images.setdefault(key, {})[name] = answer
            continue
        if answer is not None:
            problems[name] = answer
        pending.discard(name)
        found = [
            FleetImage(dict(sorted(holdings.items(), key=lambda item: order[item[0]])))
            for holdings in images.values()
        ]
        found.sort(key=lambda image: (-image.first.created, image.names, image.first.id))
        yield Fleet(engines, found, {**problems}, {*pending})


def _holdings(engine: KnownEngine) -> Iterator[Holding]:
    with closing(connected(engine)) as opened:
        names: dict[str, list[str]] = {}
        for summary in opened.images():
            own = names.setdefault(summary.id, [])
            if NONE not in (summary.repository, summary.tag):
                own.append(summary.name)
        for identifier, own in names.items():
            try:
                if isinstance(opened, FolderEngine):
                    with closing(opened.open(identifier, "")) as reader:
                        image = reader.image
                    layers = tuple(layer.diff_id for layer in image.layers)
                    sizes: tuple[int | None, ...] = (None,) * len(layers)
                    digests: tuple[str, ...] = ()
                    created = unix_time(image.created)
                else:
                    inspected = opened.inspect(identifier)
                    layers, digests = inspected.layers, inspected.digests
                    sizes = layer_sizes(opened.history(identifier), len(layers))
                    created = unix_time(inspected.created)
            except NotFoundError:
                continue  # Removed since.
            yield Holding(identifier, tuple(own), digests, created, layers, sizes)
