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
        missing: Why the layer is not there, empty if it is.
    """

    layer: int | None
    instruction: str
    created_by: str
    missing: str = ""


def steps_of(image: Image) -> list[Step]:
    """The steps of an image, oldest first; see `history_of`."""
    # Not at the top: the first paint comes before any image.
    from layerscope.images.image import history_of

    steps = []
    for entry, layer in history_of(image):
        command = "" if entry is None else entry.created_by
        own = "" if entry is None else entry.instruction
        text = own if layer is None else image.layers[layer].instruction
        missing = "" if layer is None else image.layers[layer].missing
        steps.append(Step(layer, text, command, missing))
    return steps
