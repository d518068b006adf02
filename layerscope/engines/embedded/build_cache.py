"""The build cache of the embedded store: which step created which layer.

It is one file beside the index, replaced as a whole. Its images are not garbage while it lists
them; a step whose blobs are gone is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress

from layerscope.bounded import LARGE
from layerscope.engines.embedded.containers import container_entries
from layerscope.engines.embedded.contents import Document, reached
from layerscope.engines.embedded.store import Store
from layerscope.images.reclaim import CachedStep
from layerscope.oci.manifest import Descriptor, ManifestError, parse_descriptor
from layerscope.records import Count, Record, UnixTime, read, replace
from layerscope.writing import write_whole

_FILE = "build-cache.json"
_MOST = 2_000  # The most steps to keep: the last used ones.


class Step(Record, frozen=True, omit_defaults=True):
    key: str  # Digest of all that the step depends on.
    #: Digest of the image below it and its instruction, but not of files that it copies.
    place: str
    what: str  # Its instruction, as in the history.
    created: str  # RFC 3339 time.
    image: str  # Id of the resulting image.
    manifest: dict[str, object]  # Descriptor of its manifest.
    layer: str = ""  # diff_id of the layer it created, or "".
    size: Count = 0  # Bytes of the layer.
    used: UnixTime = 0


class Steps(Record, frozen=True):
    steps: tuple[Step, ...] = ()


class BuildCache:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._steps = {step.key: step for step in _steps(store)}
        self._new: dict[str, Step] = {}

    def find(self, key: str) -> Step | None:
        return self._steps.get(key)

    def at(self, place: str) -> Iterator[Step]:
        """Yields steps that copied other files at the same place, the last used first."""
        # Another stage may be adding steps.
        found = [step for step in list(self._steps.values()) if step.place == place]
        return iter(sorted(found, key=lambda step: -step.used))

    def use(self, step: Step) -> None:
        """Adds a step, or marks it as used."""
        self._steps[step.key] = self._new[step.key] = replace(step, used=round(time.time(), 3))

    def save(self) -> None:
        """Writes new entries, merged with those of other builds.

        Raises LayerscopeError if it cannot be written.
        """
        if self._new:
            with self._store.locked():
                steps = {**{step.key: step for step in _steps(self._store)}, **self._new}
                kept = sorted(steps.values(), key=lambda step: -step.used)[:_MOST]
                _write(self._store, tuple(kept))
            self._new.clear()


def cached_images(store: Store) -> dict[str, Descriptor]:
    """Returns the manifests of the images of cached steps, by image id."""
    images = {}
    for step in _steps(store):
        with suppress(ManifestError):
            images[step.image] = parse_descriptor(step.manifest)
    return images


def cached_entries(store: Store) -> list[Document]:
    """Returns them as entries of an index, to find reachable blobs."""
    return [each.document for each in cached_images(store).values()]


def held_entries(store: Store, without: Collection[str] = ()) -> list[Document]:
    """Returns entries that keep blobs besides the index: cached steps and containers."""
    return [*cached_entries(store), *container_entries(store, without)]


def cached_layers(store: Store) -> list[CachedStep]:
    """Returns the layers of cached steps, each once, the last used first."""
    files, sizes = store.files(), store.sizes()
    tagged = reached(files, store.entries())
    found: dict[str, CachedStep] = {}
    for step in sorted(_steps(store), key=lambda step: -step.used):
        size = sizes.get(step.layer)
        if size is not None and step.layer not in found:
            shared = step.layer in tagged
            found[step.layer] = CachedStep(
                step.layer, step.what, size, int(step.used), shared=shared
            )
    return list(found.values())


def forget_layer(store: Store, layer: str) -> int:
    """Drops the steps that need a layer, removes unused blobs, and returns the freed bytes.

    Raises LayerscopeError if it cannot be written.
    """
    files = store.files()
    with store.changed() as change:
        steps = _steps(store)
        needing = {step.key for step in steps if layer in reached(files, [dict(step.manifest)])}
        kept = tuple(step for step in steps if step.key not in needing)
        before = reached(files, cached_entries(store))
        _write(store, kept)
        after = reached(files, [*change.entries, *held_entries(store)])
        change.garbage = before - after
    return change.freed


def _steps(store: Store) -> tuple[Step, ...]:
    found = read(store.folder / _FILE, Steps, LARGE)
    return () if found is None else found.steps


def _write(store: Store, steps: tuple[Step, ...]) -> None:
    with store.translated():
        write_whole(store.folder / _FILE, Steps(steps).dump())
