"""The effects of loading images into an engine, as text and as an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.text import docker_size, plural, short_id, visible

if TYPE_CHECKING:
    from layerscope.transfer.loading import PlannedImage


def load_document(engine: str, images: Sequence[PlannedImage]) -> dict[str, Any]:
    """The object of `load --dry-run --json`; `replaces` are ids of images that lose a name."""
    return {
        "schema": "layerscope.load/1",
        "engine": engine,
        "images": [
            {
                "id": each.image.id,
                "names": [naming.name for naming in each.names],
                "replaces": {naming.name: naming.held_by for naming in each.taken},
                "layers": [
                    {"diff_id": layer.diff_id, "size": size, "present": layer.index < each.there}
                    for layer, size in zip(each.image.layers, each.sizes, strict=True)
                ],
            }
            for each in images
        ],
    }


def load_text(engine: str, images: Sequence[PlannedImage]) -> Iterator[str]:
    for each in images:
        names = ", ".join(naming.name for naming in each.names)
        yield f"{visible(names) or 'An image without a name'}  {short_id(each.image.id)}"
        for layer, size in zip(each.image.layers, each.sizes, strict=True):
            what = "already there" if layer.index < each.there else "to send"
            shown = "" if size is None else docker_size(size)
            yield f"  {short_id(layer.diff_id)}  {shown:>8}  {what:<13}  {layer.made_by}"
        yield f"{visible(engine)} gets {sent_text(each)}."
        for naming in each.taken:
            yield naming.conflict


def sent_text(plan: PlannedImage) -> str:
    """How much of an image is sent: `1 of 3 layers, 5MB`."""
    sizes = plan.sizes[plan.there :]
    count = plural(len(plan.sizes), "layer")
    parts = [f"{len(sizes)} of {count}" if plan.there else count]
    if sizes and None not in sizes:
        parts.append(docker_size(sum(size or 0 for size in sizes)))
    return ", ".join(parts)
