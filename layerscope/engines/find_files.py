"""Finds files in all images of an engine, with their layers and containers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.engines.described import engine_image
from layerscope.errors import NotFoundError, PlatformMissingError, UsageError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.search import find_digest, find_paths
from layerscope.filesystem.stack import Stack
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.image import Image
from layerscope.images.loading import Loaded
from layerscope.images.platforms import wanted_platform
from layerscope.patterns import filter_pattern, regex_pattern
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine

Finder = Callable[[Changeset], list[int]]  # Finds the matching rows of a layer.


@dataclass(frozen=True, slots=True)
class Match:
    image: Image
    layer: int  # Number of the layer.
    path: bytes  # Without a leading slash.
    kind: EntryType
    size: int  # Bytes.
    visible: bool | None  # Whether the merged view has it; None if not all layers are known.
    containers: tuple[str, ...]  # Names of the image's containers.


def finder(pattern: str, *, regex: bool) -> Finder:
    """Finds part of a path, a glob, a regular expression, or content by `sha256:DIGEST`.

    Raises UsageError if the pattern is invalid.
    """
    digest = re.fullmatch(r"sha256:([0-9a-fA-F]{64})", pattern)
    if digest is not None and not regex:
        return lambda changeset: find_digest(changeset, bytes.fromhex(digest[1]))
    if pattern.startswith("sha256:") and not regex:
        raise UsageError(
            f"{visible(pattern)} is not a digest.", "A digest has 64 digits from 0 to f."
        )
    compiled = regex_pattern(pattern) if regex else filter_pattern(pattern)
    if compiled is None:
        raise UsageError("The pattern is empty.", "Give a part of a path, or a glob.")
    return lambda changeset: find_paths(changeset, compiled)


def find_in(
    image: Image,
    changesets: Mapping[int, Changeset],
    find: Finder,
    containers: Sequence[str] = (),
    stack: Stack | None = None,
) -> Iterator[Match]:
    """Finds entries in the known layers of an image.

    `stack` is the stack of all its layers, if there is one already.
    """
    found = {layer: rows for layer, changeset in changesets.items() if (rows := find(changeset))}
    if not found:
        return
    # Hidden paths are known only with all layers.
    if stack is None and len(changesets) == len(image.layers):
        stack = Stack([changesets[index] for index in range(len(image.layers))])
    for layer, rows in sorted(found.items()):
        changeset = changesets[layer]
        paths = changeset.paths()
        for row in rows:
            seen, size = None, int(changeset.sizes[row])
            if stack is not None:
                version = stack.bases[layer] + row
                seen = bool(stack.hidden_by[version] >= stack.height)
                size = int(stack.sizes[version])  # A hard link has the size of its file.
            yield Match(
                image=image,
                layer=layer,
                path=paths[row],
                kind=EntryType(int(changeset.kinds[row])),
                size=size,
                visible=seen,
                containers=tuple(containers),
            )


def find_in_loaded(loaded: Loaded, find: Finder) -> Iterator[Match]:
    return find_in(loaded.image, loaded.changesets, find, stack=loaded.stack)


def known_layers(image: Image, cache: ChangesetCache) -> dict[int, Changeset]:
    found = {layer.index: cache.get(layer.diff_id) for layer in image.layers}
    return {index: changeset for index, changeset in found.items() if changeset is not None}


def engine_images(
    engine: Engine, platform: str | None = None
) -> Iterator[tuple[Image, tuple[str, ...]]]:
    """Yields the images of an engine for a platform, each once, and the names of their containers.

    Without a platform, yields all images, preferably for this host's. Raises UsageError if the
    platform is invalid, and EngineError if the engine does not answer as expected.
    """
    wanted_platform(platform)
    containers: dict[str, list[str]] = {}
    for container in engine.containers():
        containers.setdefault(container.image_id, []).append(container.name)
    for identifier in dict.fromkeys(summary.id for summary in engine.images()):
        try:
            image = engine_image(engine, identifier, platform, history=True)
        except (PlatformMissingError, NotFoundError):
            continue  # It is for other platforms, or was removed meanwhile.
        yield image, tuple(containers.get(identifier, ()))
