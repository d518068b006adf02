"""A line of a list of images, as `docker images` prints it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

NONE = "<none>"


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One line of `docker images`."""

    repository: str  # Repository, or `<none>`.
    tag: str
    id: str  # Id of the image, with its algorithm.
    created: int  # Unix time.
    size: int  # Bytes, as the engine counts them.
    shared_size: int | None  # Bytes in layers that other images share; None if unknown.
    unique_size: int | None  # Bytes in layers that no other image has; None if unknown.

    @property
    def name(self) -> str:
        """Repository and tag; empty if it has neither."""
        return "" if NONE in (self.repository, self.tag) else f"{self.repository}:{self.tag}"


def nearest(name: str, names: Sequence[str]) -> str:
    """An engine's `repository:tag` that an unknown name may be a misspelling of, or ""."""
    import difflib

    def last(reference: str) -> str:
        return reference.rpartition("/")[2].partition(":")[0]

    same = [each for each in names if last(each) == last(name)]
    wanted = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    found = difflib.get_close_matches(wanted, same or names, 1, 0 if same else 0.75)
    return found[0] if found else ""


def unix_time(created: object) -> int:
    """Converts a time in a configuration or an engine's list to Unix time; 0 if it is invalid.

    Docker lists times as numbers, some compatible engines as RFC 3339.
    """
    if isinstance(created, int | float):
        return int(created)
    try:
        return int(datetime.fromisoformat(str(created).replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError):
        return 0


@dataclass(frozen=True, slots=True)
class StoredImage:
    id: str  # Its id, with its algorithm.
    names: tuple[str, ...]  # `repository:tag` and `repository@digest`.
    created: int  # Unix time.
    layers: tuple[str, ...]  # Keys of its layers, base first.


def summaries(images: Sequence[StoredImage], sizes: Mapping[str, int]) -> list[ImageSummary]:
    """The lines for images, newest first, from the sizes of all their layers."""
    users = Counter(layer for image in images for layer in set(image.layers))
    lines = []
    for image in images:
        size = sum(sizes.get(layer, 0) for layer in image.layers)
        shared = sum(sizes.get(layer, 0) for layer in image.layers if users[layer] > 1)
        for repository, tag in _split(image.names):
            lines.append(
                ImageSummary(repository, tag, image.id, image.created, size, shared, size - shared)
            )
    return sorted(lines, key=lambda line: (-line.created, line.repository, line.tag))


def _split(names: tuple[str, ...]) -> list[tuple[str, str]]:
    tags = [name.rpartition(":") for name in names if "@" not in name]
    if tags:
        return [(repository, tag) for repository, _, tag in tags]
    digests = [name.partition("@")[0] for name in names]
    return [(digests[0] if digests else NONE, NONE)]
