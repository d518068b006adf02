"""`layerscope ps`: the containers of an engine, and what each has written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.reports.color import sized
from layerscope.reports.layout import table
from layerscope.text import docker_age, rfc3339, short_id, short_name, visible

if TYPE_CHECKING:
    from layerscope.engines.engine import ContainerSummary


def containers_document(containers: Sequence[ContainerSummary]) -> dict[str, Any]:
    """The object of `ps --json`: `size` is that of the read-write layer in bytes, or null."""
    return {
        "schema": "layerscope.ps/1",
        "containers": [
            {
                "id": container.id,
                "name": container.name,
                "image": container.image,
                "image_id": container.image_id,
                "state": container.state,
                "created": rfc3339(container.created) if container.created > 0 else None,
                "size": container.size,
            }
            for container in containers
        ],
    }


def containers_text(containers: Sequence[ContainerSummary]) -> Iterator[str]:
    rows = [("NAME", "IMAGE", "STATE", "CREATED", "WRITTEN", "CONTAINER ID")]
    rows += [
        (
            visible(container.name),
            short_name(container.image or container.image_id),
            visible(container.state),
            docker_age(container.created),
            "-" if container.size is None else sized(container.size),
            short_id(container.id),
        )
        for container in containers
    ]
    yield from table(rows, "<<<<><", "   ")
