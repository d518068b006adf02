"""`layerscope images`: an engine's images, as `docker images` prints them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.reports.color import sized
from layerscope.reports.layout import table
from layerscope.text import docker_age, rfc3339, short_id, visible

if TYPE_CHECKING:
    from layerscope.images.summary import ImageSummary


def images_document(images: Sequence[ImageSummary]) -> dict[str, Any]:
    """The object of `images --json`: sizes in bytes, `created` RFC 3339 in UTC, or null."""
    return {
        "schema": "layerscope.images/1",
        "images": [
            {
                "repository": image.repository,
                "tag": image.tag,
                "id": image.id,
                # Engines report 1970 or the year 1 for an image without a time.
                "created": rfc3339(image.created) if image.created > 0 else None,
                "size": image.size,
                "shared_size": image.shared_size,
                "unique_size": image.unique_size,
            }
            for image in images
        ],
    }


def images_text(images: Sequence[ImageSummary]) -> Iterator[str]:
    rows = [("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED", "UNIQUE")]
    rows += [
        (
            visible(image.repository),
            visible(image.tag),
            short_id(image.id),
            docker_age(image.created),
            sized(image.size),
            "-" if image.shared_size is None else sized(image.shared_size),
            "-" if image.unique_size is None else sized(image.unique_size),
        )
        for image in images
    ]
    yield from table(rows, "<<<<<<<", "   ")
