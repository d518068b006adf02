"""Reads an image whole: layers as they arrive, and the stack of those that lie on each other."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from layerscope.errors import LayerscopeError
from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader

#: A stack of what has arrived is made anew only after so many times the time that took last: more
#: often would cost more than it shows.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image as far as it has been read.

    Attributes:
        image: The image.
        changesets: Layers that have arrived, by number.
        stack: The layers from the base up to the first that is missing.
        complete: Whether all layers have arrived.
    """

    image: Image
    changesets: dict[int, Changeset]
    stack: Stack
    complete: bool


def load(
    reader: ImageReader,
    progress: Progress,
    on_update: Callable[[Loaded], None] | None = None,
) -> Loaded:
    """Reads all layers of an image.

    Args:
        reader: The image.
        progress: Where to say how far it has come.
        on_update: Called, in this thread, when more can be shown: at the first layer, then now
            and then, and before an error is raised.

    Raises:
        LayerscopeError: Reading failed; what was read before has been given to `on_update`.
    """
    changesets: dict[int, Changeset] = {}
    stack = Stack([])
    cost = due = 0.0
    told = 0

    def tell(complete: bool) -> Loaded:
        nonlocal stack, cost, due, told
        base = _contiguous(changesets)
        start = time.monotonic()
        if len(base) != stack.height or complete:
            stack = Stack(base)
        if complete:
            settle_changes(stack, reader)
        cost = time.monotonic() - start
        due = time.monotonic() + _PATIENCE * cost
        told = len(changesets)
        loaded = Loaded(reader.image, dict(changesets), stack, complete)
        if on_update is not None:
            on_update(loaded)
        return loaded

    try:
        for index, changeset in reader.changesets(progress):
            changesets[index] = changeset
            last = len(changesets) == len(reader.image.layers)
            if on_update is not None and not last and time.monotonic() >= due:
                tell(False)
    except BaseException:
        if on_update is not None and len(changesets) != told:
            tell(False)
        raise
    return tell(True)


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
    for row in suspects.tolist():
        digests = [
            _digest(stack, reader, int(stack.inodes[version]))
            for version in (row, int(stack.below[row]))
        ]
        if None not in digests:
            stack.settle(row, digests[0] == digests[1])


def _digest(stack: Stack, reader: ImageReader, row: int) -> bytes | None:
    place = stack.place(row)
    if place is None:
        return None
    changeset, inner = place
    if changeset.digests is not None:
        known: bytes = changeset.digests[inner].tobytes()
        if known.strip(b"\0"):
            return known
    digest = hashlib.sha256()
    try:
        for piece in reader.content(int(stack.layers[row]), changeset, inner):
            digest.update(piece)
    except LayerscopeError:
        return None
    return digest.digest()
