"""Layers for a registry, and what is read of them."""

from __future__ import annotations

import gzip

from layerscope.filesystem.changeset import Changeset
from layerscope.images.progress import Progress
from layerscope.images.registry.reader import RegistryReader
from tests.unit.images.registry.misbehaving_registry import noise, tar_of

BIG = 400_000


def layer_of(seed: int = 1, size: int = BIG) -> bytes:
    files = {"d": None, "d/noise": noise(size, seed), f"d/{seed}": b"%d\n" % seed}
    return gzip.compress(tar_of(files), mtime=0)


def changesets(reader: RegistryReader, progress: Progress | None = None) -> dict[int, Changeset]:
    return dict(reader.changesets(progress or Progress(), ()))


def paths(changeset: Changeset) -> set[bytes]:
    return set(changeset.paths())
