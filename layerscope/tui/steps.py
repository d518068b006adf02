"""The steps that made an image: its layers, and the history entries without one between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerscope.images.image import Image


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the stack.

    Attributes:
        layer: Number of the layer; None for a history entry without one.
        instruction: What made it, in the form of a Dockerfile.
        created_by: The same as the history has it.
    """

    layer: int | None
    instruction: str
    created_by: str


def steps_of(image: Image) -> list[Step]:
    """The steps of an image, oldest first; layers that the history does not name come last."""
    # Not at the top: the first paint comes before any image.
    from layerscope.oci.config import instruction

    steps = []
    named = set()
    for entry in image.history:
        if entry.layer is None:
            steps.append(Step(None, instruction(entry.created_by), entry.created_by))
        elif entry.layer < len(image.layers):
            named.add(entry.layer)
            text = image.layers[entry.layer].instruction
            steps.append(Step(entry.layer, text, entry.created_by))
    steps += [
        Step(layer.index, layer.instruction, "")
        for layer in image.layers
        if layer.index not in named
    ]
    return steps
