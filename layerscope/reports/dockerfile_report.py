"""`layerscope dockerfile`: a Dockerfile from an image's history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.dockerfile.meaning.reverse import reconstruct, steps
from layerscope.images.image import Image
from layerscope.text import visible


def dockerfile_document(image: Image) -> dict[str, Any]:
    """The object of `dockerfile --json`; `layer` is null for a step without a layer."""
    return {
        "schema": "layerscope.dockerfile/1",
        "reference": image.reference,
        "id": image.id,
        "steps": [
            {
                "instruction": step.text,
                "layer": step.layer,
                "created": step.entry.created,
                "created_by": step.entry.created_by,
                "comment": step.entry.comment,
                "notes": list(step.notes),
            }
            for step in steps(image.history, image.config)
        ],
    }


def dockerfile_text(image: Image) -> Iterator[str]:
    """The lines of the Dockerfile, safe on a terminal; tabs stay."""
    for line in reconstruct(image.history, image.reference, image.config):
        yield "\t".join(visible(piece) for piece in line.split("\t"))
