"""Removes images of an engine, and measures the freed space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property, partial

from layerscope.engines.docker import texts, with_algorithm
from layerscope.engines.engine import ContainerSummary, Engine
from layerscope.engines.local_store import LocalStore, NoFastWay
from layerscope.errors import EngineError, LayerscopeError, NotFoundError
from layerscope.images.answers import Inspected
from layerscope.images.archives.save_format import same_reference
from layerscope.images.reclaim import (
    Bounds,
    Held,
    HeldContainer,
    Holdings,
    Plan,
    top_sizes,
)
from layerscope.images.stores.containerd_garbage import References, references
from layerscope.images.stores.folder_layer import FolderLayer
from layerscope.images.stores.overlay2 import GraphStore, chain_ids
from layerscope.images.stores.podman import PodmanStore
from layerscope.images.summary import NONE, unix_time
from layerscope.text import short_id, visible

#: States of stopped containers, which can be removed.
_STOPPED = ("created", "exited", "dead", "stopped", "configured", "initialized")


def holdings_of(engine: Engine, *, containers: bool = False, cache: bool = False) -> Holdings:
    """Returns all images of an engine, with their layers and users.

    `containers` adds the sizes of stopped containers, which is slow, and `cache` the entries of
    the build cache.
    """
    users: dict[str, list[tuple[str, str]]] = {}
    there = engine.containers(sizes=containers)
    for container in there:
        users.setdefault(container.image_id, []).append((container.name, container.state))
    stopped = [_held(each) for each in there if containers and each.state in _STOPPED]
    steps = engine.build_cache()
    images: dict[str, Held] = {}
    listed = engine.all_images()
    for entry in listed:
        identifier = entry.id
        if identifier in images:
            continue
        try:
            inspected = engine.inspect(identifier)
        except NotFoundError:
            continue  # Removed since.
        images[identifier] = Held(
            id=identifier,
            tags=tuple(tag for tag in entry.tags if not tag.startswith(NONE)),
            layers=tuple(chain_ids(inspected.layers)),
            parent=with_algorithm(entry.parent or inspected.parent),
            containers=tuple(users.pop(identifier, ())),
            created=unix_time(entry.created),
            labels=texts(entry.labels),
        )
    whole = {entry.id: entry.size for entry in listed}
    # A container whose image was removed keeps layers that the engine does not list.
    hidden = bool(users) or any(step.shared for step in steps)
    measure = _Measure(engine, images, whole)
    steps = steps if cache else ()
    rough = engine.keeps_blobs and not engine.own_store
    exact = _Garbage(engine).freed if rough else partial(_freed_here, engine)
    return Holdings(images, measure, hidden, stopped, steps, rough, exact)


def _freed_here(engine: Engine, plan: Plan) -> int | None:
    """Returns what a plan frees in the embedded store; None for another engine."""
    going = ({each.id for each in kind} for kind in (plan.removed, plan.containers))
    freed = engine.freed_by(*going)
    return None if freed is None else freed + sum(each.size or 0 for each in plan.others)


class _Garbage:
    """Computes what plans free in the data folder of a Docker with the containerd store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @cached_property
    def _known(self) -> Sequence[References]:
        found = []
        with suppress(NoFastWay, LayerscopeError), closing(LocalStore(self._engine)) as local:
            for store in local.containerds():
                with closing(store):
                    found.append(references(store))
        return found

    def freed(self, plan: Plan) -> int | None:
        # Containers and build cache entries are containerd leases.
        leases = {each.id: each.size or 0 for each in plan.others}
        images = {image.id for image in plan.removed}
        answers = (each.freed(images, leases) for each in self._known)
        return next((answer for answer in answers if answer is not None), None)


class _Measure:
    """Measures the topmost layers of an image as exactly as possible."""

    def __init__(
        self, engine: Engine, images: Mapping[str, Held], whole: Mapping[str, int]
    ) -> None:
        self._engine = engine
        self._images = images
        self._whole = whole

    def __call__(self, identifier: str, wanted: int) -> Bounds:
        layers = self._images[identifier].layers
        known = self._sizes
        top = layers[len(layers) - wanted :]
        if known and all(layer in known for layer in top):
            size = sum(known[layer] for layer in top)
            return Bounds(size, size)
        history = [entry.size for entry in self._engine.history(identifier)]
        bounds = top_sizes(history[::-1], len(layers), wanted)
        if self._engine.keeps_blobs:
            # Removing a layer also removes its compressed blob, whose size is unknown.
            size = self._whole.get(identifier, 0)
            return Bounds(size if wanted == len(layers) else bounds.least, None)
        # Podman's sizes include tar headers, which it does not store.
        return Bounds(0, bounds.most) if self._engine.is_podman else bounds

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        """Returns the sizes of all layers; empty if the engine's data folder is not readable."""
        try:
            with closing(LocalStore(self._engine)) as store:
                graph = GraphStore(store.root) if store.driver == "overlay2" else None
                layers = {layer for held in self._images.values() for layer in held.layers}
                return {layer: graph.layer_size(layer) for layer in layers} if graph else {}
        except (NoFastWay, LayerscopeError):
            return {}


def find_images(holdings: Holdings, names: Sequence[str]) -> list[tuple[str, str]]:
    """Finds images by name or id, with the name if it is a tag; raises NotFoundError."""
    found = []
    for name in names:
        match = next(_matches(holdings, name), None)
        if match is None:
            raise NotFoundError(
                f"The engine has no image {visible(name)}.",
                "`layerscope images` lists what it has.",
            )
        found.append(match)
    return found


def find_containers(engine: Engine, names: Sequence[str]) -> list[HeldContainer]:
    """Finds containers by name or id; raises NotFoundError, or EngineError if one is running."""
    there = engine.containers(sizes=True) if names else ()
    found = {}
    for name in names:
        same = [each for each in there if name in (each.name, each.id)]
        same = same or [each for each in there if len(name) >= 4 and each.id.startswith(name)]
        if len(same) != 1:
            raise NotFoundError(
                f"The engine has no container {visible(name)}.",
                "`layerscope ps` lists what it has.",
            )
        if same[0].state not in _STOPPED:
            raise EngineError(
                f"Container {visible(same[0].name)} is {visible(same[0].state)}.",
                "It can be removed once it has ended.",
            )
        found[same[0].id] = _held(same[0])
    return list(found.values())


def _held(each: ContainerSummary) -> HeldContainer:
    return HeldContainer(each.id, each.name, each.state, each.size, each.created, each.labels)


def _matches(holdings: Holdings, name: str) -> Iterator[tuple[str, str]]:
    for image in holdings.images.values():
        for tag in image.tags:
            if same_reference(name, tag):
                yield image.id, tag
    prefix = name.removeprefix("sha256:")
    ids = [x for x in holdings.images if x.removeprefix("sha256:").startswith(prefix)]
    if len(prefix) >= 4 and len(ids) == 1:
        yield ids[0], ""


def remove(engine: Engine, plan: Plan, space: Space | None = None) -> Iterator[str]:
    """Carries out a plan; yields a line for each removal.

    Removes nothing if a name, an image or a container has changed since the plan. Removes images
    by id, and a name only while the image still has it, as far as possible: engines cannot lock a
    name between the check and the removal. `space` records what this frees besides image layers.

    Raises EngineError if something has changed or the engine refused; earlier removals remain.
    """
    inspected = {image.id: _unchanged(engine, image) for image in plan.removed}
    for each in plan.untagged:
        _check_name(engine, each.name, each.id)
    _check_containers(engine, plan.containers)
    for container in plan.containers:
        engine.remove_container(container.id)
        if space is not None:
            space.others += container.size or 0
        yield f"Removed container {visible(container.name)}"
    for each in plan.untagged:
        yield _untag(engine, each.name, each.id)
    for image in plan.removed:
        # By id, an engine removes an image with one name, or with names in one repository.
        digests = inspected[image.id].digests
        repositories = {tag.rpartition(":")[0] for tag in image.tags}
        repositories |= {digest.partition("@")[0] for digest in digests}
        kept = image.tags[-1:] if len(repositories) <= 1 else ()
        for tag in image.tags[: len(image.tags) - len(kept)]:
            yield _untag(engine, tag, image.id)
        try:
            # It still exists if it has a digest in another repository.
            engine.remove_image(image.id)
        except NotFoundError:
            pass
        yield from (f"Untagged {visible(tag)}" for tag in kept)
        yield f"Removed {short_id(image.id)}"
    for step in plan.cache:
        reclaimed = engine.remove_cached(step.id)
        # The embedded store measures it with the rest.
        if space is not None and not engine.own_store:
            space.others += reclaimed
        yield f"Removed build cache {visible(step.id)}"


class Space:
    """Measures what a removal frees; create it before, and query it afterwards."""

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine = engine
        self.others = 0  # Freed bytes of containers and build cache.
        self._before: int | None = None
        #: Sizes of layers by id, if the engine reports no total; None if unknown.
        self._sizes: dict[str, int] | None = None
        with suppress(LayerscopeError):
            self._before = engine.layers_size()
        if self._before is None and engine.is_podman:
            with suppress(LayerscopeError, NoFastWay):
                self._sizes = self._measured(plan)

    def freed(self) -> int | None:
        """Returns the bytes freed so far; None if they cannot be measured."""
        with suppress(LayerscopeError, NoFastWay):
            if self._before is not None:
                after = self._engine.layers_size()
                # Another image may have been pulled or built meanwhile.
                layers = None if after is None else max(0, self._before - after)
                also = 0 if self._engine.counts_all else self.others
                return None if layers is None else layers + also
            if self._sizes is not None:
                with closing(LocalStore(self._engine)) as store:
                    there = PodmanStore(store.root).layer_ids()
                gone = (size for layer, size in self._sizes.items() if layer not in there)
                return sum(gone) + self.others
        return None

    def _measured(self, plan: Plan) -> dict[str, int]:
        with closing(LocalStore(self._engine)) as store:
            podman = PodmanStore(store.root)
            layers: dict[str, FolderLayer] = {}
            for image in plan.removed:
                layers |= podman.layers(image.id)
            return {name: int(layer.changeset().sizes.sum()) for name, layer in layers.items()}


def _check_containers(engine: Engine, containers: Sequence[HeldContainer]) -> None:
    states = {each.id: each.state for each in engine.containers()} if containers else {}
    for each in containers:
        state = states.get(each.id)
        if state is None:
            raise _changed(f"Container {visible(each.name)} is gone.")
        if state not in _STOPPED:
            raise _changed(f"Container {visible(each.name)} is now {visible(state)}.")


def _unchanged(engine: Engine, image: Held) -> Inspected:
    """Inspects an image; raises EngineError if its names have changed."""
    for tag in image.tags:
        _check_name(engine, tag, image.id)
    try:
        inspected = engine.inspect(image.id)
    except NotFoundError:
        raise _changed(f"Image {short_id(image.id)} is gone.") from None
    now = {tag for tag in inspected.tags if not tag.startswith(NONE)}
    for tag in sorted(now - {*image.tags}):
        raise _changed(f"Image {short_id(image.id)} now has another name, {visible(tag)}.")
    return inspected


def _check_name(engine: Engine, tag: str, identifier: str) -> None:
    try:
        now = with_algorithm(engine.inspect(tag).id)
    except NotFoundError:
        raise _changed(f"There is no image {visible(tag)} any more.") from None
    if now != with_algorithm(identifier):
        shown = f"{short_id(now)}, not {short_id(identifier)}"
        raise _changed(f"{visible(tag)} now names another image: {shown}.")


def _untag(engine: Engine, tag: str, identifier: str) -> str:
    _check_name(engine, tag, identifier)
    engine.remove_image(tag)
    return f"Untagged {visible(tag)}"


def _changed(what: str) -> EngineError:
    return EngineError(what, "It was not removed: list the images again, then choose.")
