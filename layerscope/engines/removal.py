"""Removing images of an engine: what that would free, and doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from layerscope.engines.docker import Engine, with_algorithm
from layerscope.engines.local_store import LocalStore, NoFastWay
from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.images.graph_store import GraphStore, chain_ids
from layerscope.images.reclaim import Bounds, Held, Holdings, Plan, top_sizes
from layerscope.images.save_layout import same_reference
from layerscope.images.stored import NONE, unix_time
from layerscope.text import short_id, visible


def holdings_of(engine: Engine) -> Holdings:
    """All images of an engine, with their layers and what holds them.

    Raises:
        EngineError: The engine did not answer as it should.
    """
    users: dict[str, list[tuple[str, str]]] = {}
    for container in engine.containers():
        users.setdefault(container.image_id, []).append((container.name, container.state))
    images: dict[str, Held] = {}
    listed = engine.all_images()
    for entry in listed:
        identifier = str(entry["Id"])
        if identifier in images:
            continue
        try:
            inspected = engine.inspect(identifier)
        except NotFoundError:
            continue  # Removed since.
        images[identifier] = Held(
            id=identifier,
            tags=tuple(tag for tag in entry.get("RepoTags") or [] if not tag.startswith(NONE)),
            layers=tuple(chain_ids(tuple((inspected.get("RootFS") or {}).get("Layers") or ()))),
            parent=with_algorithm(str(entry.get("ParentId") or inspected.get("Parent") or "")),
            containers=tuple(users.pop(identifier, ())),
            created=unix_time(entry.get("Created")),
        )
    whole = {str(entry["Id"]): int(entry.get("Size") or 0) for entry in listed}
    # A container whose image is gone holds layers of which the engine does not tell.
    hidden = bool(users) or engine.cache_shares_layers()
    return Holdings(images, _Measure(engine, images, whole), hidden)


class _Measure:
    """Sizes of the topmost layers of an image, as exactly as they can be known."""

    def __init__(
        self, engine: Engine, images: Mapping[str, Held], whole: Mapping[str, int]
    ) -> None:
        self._engine = engine
        self._images = images
        self._whole = whole
        self._sizes: dict[str, int] | None = None
        self._looked = False

    def __call__(self, identifier: str, wanted: int) -> Bounds:
        layers = self._images[identifier].layers
        known = self._from_folder()
        if known is not None:
            sizes = [known.get(layer) for layer in layers[len(layers) - wanted :]]
            found = [size for size in sizes if size is not None]
            if len(found) == len(sizes):
                return Bounds(sum(found), sum(found))
        if self._engine.keeps_blobs:
            # Beside the files of a layer, its compressed blob goes too, whose size is not told.
            size = self._whole.get(identifier, 0)
            return Bounds(
                size if wanted == len(layers) else self._told(identifier, wanted).least, None
            )
        told = self._told(identifier, wanted)
        # Podman counts the headers of a layer's tar, which it does not keep.
        return Bounds(0, told.most) if self._engine.name.startswith("Podman") else told

    def _told(self, identifier: str, wanted: int) -> Bounds:
        history = [int(entry.get("Size") or 0) for entry in self._engine.history(identifier)]
        return top_sizes(history[::-1], len(self._images[identifier].layers), wanted)

    def _from_folder(self) -> dict[str, int] | None:
        """The sizes of all layers, where the engine's data folder can be read."""
        if not self._looked:
            self._looked = True
            try:
                store = LocalStore(self._engine)
            except (NoFastWay, LayerscopeError):
                return None
            try:
                if store.driver == "overlay2":
                    graph = GraphStore(store.root)
                    layers = {layer for held in self._images.values() for layer in held.layers}
                    self._sizes = {layer: graph.layer_size(layer) for layer in layers}
            except LayerscopeError:
                self._sizes = None
            finally:
                store.close()
        return self._sizes


def find_images(holdings: Holdings, names: Sequence[str]) -> list[tuple[str, str]]:
    """The images that are named, each with the name if that is a tag of it.

    Raises:
        NotFoundError: There is no such image.
    """
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


def _matches(holdings: Holdings, name: str) -> Iterator[tuple[str, str]]:
    for image in holdings.images.values():
        for tag in image.tags:
            if same_reference(name, tag):
                yield image.id, tag
    prefix = name.removeprefix("sha256:")
    ids = [x for x in holdings.images if x.removeprefix("sha256:").startswith(prefix)]
    if len(prefix) >= 4 and len(ids) == 1:
        yield ids[0], ""


def remove(engine: Engine, plan: Plan) -> list[str]:
    """Does what a plan says.

    Args:
        engine: The engine.
        plan: What to remove.

    Returns:
        What has been done, a line for each name and image.

    Raises:
        EngineError: The engine refused; what was removed before stays removed.
    """
    done = []
    for tag, _ in plan.untagged:
        engine.remove_image(tag)
        done.append(f"Untagged {visible(tag)}")
    for image in plan.removed:
        for tag in image.tags:
            engine.remove_image(tag)
            done.append(f"Untagged {visible(tag)}")
        try:
            # What had a digest of another repository for a name is still there.
            engine.remove_image(image.id)
        except NotFoundError:
            pass
        done.append(f"Removed {short_id(image.id)}")
    return done
