"""`layerscope images`: what an engine has, as `docker images` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.text import docker_age, docker_size, rfc3339, short_id, visible

if TYPE_CHECKING:
    from layerscope.images.stored import ImageSummary

SCHEMA = "layerscope.images/1"


def images_document(images: Sequence[ImageSummary]) -> dict[str, Any]:
    """The object that `images --json` prints; sizes are bytes.

    `created` is RFC 3339 in UTC, as in `inspect`, to the second; null where none was recorded.
    """
    return {
        "schema": SCHEMA,
        "images": [
            {
                "repository": image.repository,
                "tag": image.tag,
                "id": image.id,
                # Engines say 1970, or the year 1, where an image has no time.
                "created": rfc3339(image.created) if image.created > 0 else None,
                "size": image.size,
                "shared_size": image.shared_size,
                "unique_size": image.unique_size,
            }
            for image in images
        ],
    }


def images_text(images: Sequence[ImageSummary], now: float) -> Iterator[str]:
    """A table for people, line by line."""
    rows = [("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED", "UNIQUE")]
    rows += [
        (
            visible(image.repository),
            visible(image.tag),
            short_id(image.id),
            docker_age(image.created, now),
            docker_size(image.size),
            "-" if image.shared_size is None else docker_size(image.shared_size),
            "-" if image.unique_size is None else docker_size(image.unique_size),
        )
        for image in images
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "   ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
