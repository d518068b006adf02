"""Where another screen leads the main screen to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A path in the files of a layer.

    Attributes:
        layer: Number of the layer.
        path: The path, without slash in front.
        source: The image to open; None for the one that is open.
        union: Whether to show the union up to the layer, and not the layer alone.
    """

    layer: int
    path: bytes
    source: str | None = None
    union: bool = False
