"""What a list of images says of one: the line that `docker images` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

NONE = "<none>"


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One line of `docker images`.

    Attributes:
        repository: Repository, or `<none>`.
        tag: Tag, or `<none>`.
        id: Id of the image, with its algorithm.
        created: Unix time.
        size: Bytes, as the engine counts them.
        shared_size: Bytes in layers that other images have too; None if not known.
        unique_size: Bytes in layers that no other image has; None if not known.
    """

    repository: str
    tag: str
    id: str
    created: int
    size: int
    shared_size: int | None
    unique_size: int | None


def unix_time(created: object) -> int:
    """A time in a configuration or an engine's list, as Unix time; 0 if it is none.

    Docker gives the list's times as numbers; some compatible engines write RFC 3339.
    """
    if isinstance(created, int | float):
        return int(created)
    try:
        return int(datetime.fromisoformat(str(created).replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError):
        return 0


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in a data folder.

    Attributes:
        id: Its id, with its algorithm.
        names: `repository:tag` and `repository@digest`.
        created: Unix time.
        layers: What its layers are known by, base first.
    """

    id: str
    names: tuple[str, ...]
    created: int
    layers: tuple[str, ...]


def summaries(images: Sequence[StoredImage], sizes: Mapping[str, int]) -> list[ImageSummary]:
    """The lines for images, newest first.

    Args:
        images: The images.
        sizes: The sizes of all their layers.
    """
    users: dict[str, int] = {}
    for image in images:
        for layer in set(image.layers):
            users[layer] = users.get(layer, 0) + 1
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
