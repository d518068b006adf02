"""Reads the layers of an image as they arrive, and stacks them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile

import numpy as np

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.files.digests import settle
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.text import docker_size, short_name

#: A new stack is built once reading has taken this multiple of the time to build it.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The part of an image that has been read."""

    image: Image
    changesets: Mapping[int, Changeset]  # Layers that have arrived, by number.
    stack: Stack  # The layers from the base up to the first that is still missing.
    complete: bool
    way: str = ""  # How they were read, for users.
    why: str = ""  # Why no faster way was possible, as the end of a sentence; may be empty.


def load(
    reader: ImageReader,
    progress: Progress,
    on_update: Callable[[Loaded], None] | None = None,
    cache: ChangesetCache | None = None,
) -> Loaded:
    """Reads all layers of an image.

    `on_update` is called in this thread with the layers so far: at the first layer, from time to
    time, and before an error is raised. Layers are taken from `cache` if present, and new ones are
    stored there.

    Raises LayerscopeError if reading failed; `on_update` has received all layers read before.
    """
    keys = [reader.cache_key(layer.index) for layer in reader.image.layers]
    known = [key for key in keys if key is not None]
    cacheable = bool(keys) and len(known) == len(keys)
    if cache is not None and cacheable:
        cached_stack = cache.get_stack(known)
        if cached_stack is not None:
            return _from_stack(reader, progress, cached_stack, on_update)
    changesets = _from_cache(keys, cache)
    cached = frozenset(changesets)
    stack = Stack([])
    # The seconds to stack an entry; the time of the last update, and its number of layers.
    cost = last = 0.0
    updated = 0

    def is_time() -> bool:
        entries = sum(map(len, _contiguous(changesets)))
        return time.monotonic() >= last + _PATIENCE * cost * entries

    def update(complete: bool) -> Loaded:
        nonlocal stack, cost, last, updated
        base = _contiguous(changesets)
        start = time.monotonic()
        if len(base) != stack.height or complete:
            stack = Stack(base)
            cost = (time.monotonic() - start) / max(1, sum(map(len, base)))
        if complete:
            _settle_changes(stack, reader)
        last = time.monotonic()
        updated = len(changesets)
        loaded = Loaded(reader.image, dict(changesets), stack, complete, reader.way, reader.why)
        if on_update is not None:
            on_update(loaded)
        return loaded

    try:
        for index, changeset in reader.changesets(progress, cached):
            changesets[index] = changeset
            if on_update is not None and len(changesets) != len(reader.image.layers) and is_time():
                update(False)
    except BaseException:
        if on_update is not None and len(changesets) != updated:
            update(False)
        raise
    loaded = update(True)
    if cache is not None:
        for index, changeset in changesets.items():
            key = keys[index]
            # A missing layer may be present next time.
            if key and index not in cached and not reader.image.layers[index].missing:
                cache.put(key, changeset)
        if cacheable and not reader.image.missing:
            cache.put_stack(known, loaded.stack)
    return loaded


def is_cached(reader: ImageReader, cache: ChangesetCache | None) -> bool:
    """Whether all layers of an image are in the cache."""
    keys = [reader.cache_key(layer.index) for layer in reader.image.layers]
    return cache is not None and all(key is not None and cache.has(key) for key in keys)


def price_text(reader: ImageReader) -> str:
    """The cost of an export from another host, in words that are safe to show."""
    name = short_name(reader.image.reference)
    return (
        f"{name} must be exported from another host, which transfers {docker_size(reader.price)}. "
        "A layerscope there would send a few megabytes."
    )


def _from_stack(
    reader: ImageReader,
    progress: Progress,
    stack: Stack,
    on_update: Callable[[Loaded], None] | None,
) -> Loaded:
    # A reader may learn more about the image when its layers are requested.
    for _ in reader.changesets(progress, range(stack.height)):
        pass
    _settle_changes(stack, reader)
    layers = _Numbered(stack.changesets)
    loaded = Loaded(reader.image, layers, stack, True, reader.way, reader.why)
    if on_update is not None:
        on_update(loaded)
    return loaded


class _Numbered(Mapping[int, Changeset]):
    """Layers by number, each created when it is first used."""

    def __init__(self, layers: Sequence[Changeset]) -> None:
        self._layers = layers

    def __getitem__(self, layer: int) -> Changeset:
        if not 0 <= layer < len(self._layers):
            raise KeyError(layer)
        return self._layers[layer]

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._layers)))

    def __len__(self) -> int:
        return len(self._layers)


def _from_cache(keys: Sequence[str | None], cache: ChangesetCache | None) -> dict[int, Changeset]:
    if cache is None:
        return {}
    found = ((index, key and cache.get(key)) for index, key in enumerate(keys))
    return {index: changeset for index, changeset in found if changeset}


def _contiguous(changesets: dict[int, Changeset]) -> list[Changeset]:
    return [changesets[index] for index in takewhile(changesets.__contains__, count())]


def _settle_changes(stack: Stack, reader: ImageReader) -> None:
    """Compares the bytes of files that a layer repeats without any other change.

    There are few such files, and only their bytes show whether they were modified.
    """
    suspects = np.flatnonzero(stack.unread & (stack.changes == Change.UNCHANGED))
    settle(stack, reader, suspects.tolist())
