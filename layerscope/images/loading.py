"""Reads an image whole: layers as they arrive, and the stack of those that lie on each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.cache import ChangesetCache
from layerscope.images.file_digests import settle
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader

#: A stack of what has arrived is made anew only after so many times the time that it will take:
#: more often would cost more than it shows.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image as far as it has been read.

    Attributes:
        image: The image.
        changesets: Layers that have arrived, by number.
        stack: The layers from the base up to the first that is missing.
        complete: Whether all layers have arrived.
        way: How they were read, for people.
        why: Why not a faster way, as the end of a sentence; empty if there is none.
    """

    image: Image
    changesets: Mapping[int, Changeset]
    stack: Stack
    complete: bool
    way: str = ""
    why: str = ""


def load(
    reader: ImageReader,
    progress: Progress,
    on_update: Callable[[Loaded], None] | None = None,
    cache: ChangesetCache | None = None,
) -> Loaded:
    """Reads all layers of an image.

    Args:
        reader: The image.
        progress: Where to say how far it has come.
        on_update: Called, in this thread, when more can be shown: at the first layer, then now
            and then, and before an error is raised.
        cache: Where layers that are known are taken from, and new ones are kept.

    Raises:
        LayerscopeError: Reading failed; what was read before has been given to `on_update`.
    """
    keys = [reader.cache_key(layer.index) for layer in reader.image.layers]
    known = [key for key in keys if key is not None]
    whole = bool(keys) and len(known) == len(keys)
    if cache is not None and whole:
        kept = cache.get_stack(known)
        if kept is not None:
            return _as_it_was(reader, progress, kept, on_update)
    changesets = _from_cache(keys, cache)
    cached = frozenset(changesets)
    stack = Stack([])
    # Seconds that an entry takes; when more was told last, and how many layers there were then.
    cost = last = 0.0
    told = 0

    def is_time() -> bool:
        entries = sum(map(len, _contiguous(changesets)))
        return time.monotonic() >= last + _PATIENCE * cost * entries

    def tell(complete: bool) -> Loaded:
        nonlocal stack, cost, last, told
        base = _contiguous(changesets)
        start = time.monotonic()
        if len(base) != stack.height or complete:
            stack = Stack(base)
            cost = (time.monotonic() - start) / max(1, sum(map(len, base)))
        if complete:
            settle_changes(stack, reader)
        last = time.monotonic()
        told = len(changesets)
        loaded = Loaded(
            reader.image, dict(changesets), stack, complete, reader.way, getattr(reader, "why", "")
        )
        if on_update is not None:
            on_update(loaded)
        return loaded

    try:
        for index, changeset in reader.changesets(progress, cached):
            changesets[index] = changeset
            whole_image = len(changesets) == len(reader.image.layers)
            if on_update is not None and not whole_image and is_time():
                tell(False)
    except BaseException:
        if on_update is not None and len(changesets) != told:
            tell(False)
        raise
    loaded = tell(True)
    if cache is not None:
        for index, changeset in changesets.items():
            key = keys[index]
            if reader.image.layers[index].missing:
                continue  # It may be there the next time.
            if key is not None and index not in cached:
                cache.put(key, changeset)
        if whole and not reader.image.missing:
            cache.put_stack(known, loaded.stack)
    return loaded


def _as_it_was(
    reader: ImageReader,
    progress: Progress,
    stack: Stack,
    on_update: Callable[[Loaded], None] | None,
) -> Loaded:
    """An image whose stack is known."""
    everything = range(stack.height)
    # What a reader finds out about the image when its layers are asked for, it finds out now.
    for _ in reader.changesets(progress, everything):
        pass
    settle_changes(stack, reader)
    layers = _Numbered(stack.changesets)
    loaded = Loaded(reader.image, layers, stack, True, reader.way, getattr(reader, "why", ""))
    if on_update is not None:
        on_update(loaded)
    return loaded


class _Numbered(Mapping[int, Changeset]):
    """Layers by number, none of them made before it is asked for."""

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
    found: dict[int, Changeset] = {}
    if cache is not None:
        for index, key in enumerate(keys):
            changeset = None if key is None else cache.get(key)
            if changeset is not None:
                found[index] = changeset
    return found


def _contiguous(changesets: dict[int, Changeset]) -> list[Changeset]:
    base: list[Changeset] = []
    while len(base) in changesets:
        base.append(changesets[len(base)])
    return base


def settle_changes(stack: Stack, reader: ImageReader) -> None:
    """Compares the bytes of files that a layer has again with nothing else changed.

    There are few such files, and only their bytes tell whether they are modified.
    """
    suspects = np.flatnonzero(stack.unread & (stack.changes == Change.UNCHANGED))
    settle(stack, reader, suspects.tolist())
