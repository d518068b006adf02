"""An image as it is talked about: what it is called, its layers and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from layerscope.oci.config import HistoryEntry, ImageConfig
from layerscope.oci.platform import Platform

__all__ = [
    "HistoryEntry",
    "Image",
    "Layer",
    "history_of",
    "image_from_config",
    "told_missing",
    "with_missing",
]


@dataclass(frozen=True, slots=True)
class Layer:
    """A file system layer.

    Attributes:
        index: Its number, the base being 0.
        diff_id: Digest of its uncompressed tar stream.
        digest: Digest of it as it is stored or shipped, or None if that is not known.
        instruction: The Dockerfile instruction that made it, empty if the history does not tell.
        stored_size: Bytes that it has as it is stored in a registry; None for other places. Also
            of a layer that is missing.
        missing: Why its content is not where the image is, as the end of a sentence; empty if it
            is there. Such a layer shows no entries.
    """

    index: int
    diff_id: str
    digest: str | None
    instruction: str
    stored_size: int | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image.

    Attributes:
        reference: The name under which it was opened, or its first one.
        id: Digest of its configuration, or what the engine calls its id.
        source: Where it comes from, in the form of containers-transports(5).
        os: Operating system.
        architecture: Architecture and variant.
        created: RFC 3339 time, or None.
        config: The image configuration.
        layers: Layers, base first.
        history: History entries, oldest first.
        platforms: Platforms that the source has such an image for, that of this one first; empty
            if the source knows of no choice.
    """

    reference: str
    id: str
    source: str
    os: str
    architecture: str
    created: str | None
    config: Mapping[str, Any] = field(repr=False)
    layers: tuple[Layer, ...]
    history: tuple[HistoryEntry, ...]
    platforms: tuple[Platform, ...] = ()

    @property
    def missing(self) -> tuple[Layer, ...]:
        """Layers whose content is not there, so that no union is whole."""
        return tuple(layer for layer in self.layers if layer.missing)


def with_missing(image: Image, reasons: Mapping[int, str], sizes: Sequence[int]) -> Image:
    """The same image with layers that are not there.

    Args:
        image: The image.
        reasons: Why not, by number of the layer.
        sizes: Sizes of all layers as stored, base first.
    """
    layers = tuple(
        replace(layer, missing=reasons[layer.index], stored_size=sizes[layer.index])
        if layer.index in reasons
        else layer
        for layer in image.layers
    )
    return replace(image, layers=layers)


def told_missing(image: Image) -> str:
    """What to say of layers that are not there, in a sentence; empty if all are."""
    missing = image.missing
    if not missing:
        return ""
    first = missing[0]
    if len(missing) == 1:
        return f"Layer {first.index} is missing: {first.missing}."
    numbers = ", ".join(str(layer.index) for layer in missing)
    reasons = "; ".join(dict.fromkeys(layer.missing for layer in missing))
    return f"Layers {numbers} are missing: {reasons}."


def image_from_config(
    config: ImageConfig,
    *,
    reference: str,
    image_id: str,
    source: str,
    digests: Sequence[str | None] | None = None,
    stored_sizes: Sequence[int] | None = None,
) -> Image:
    """Makes an image of its configuration.

    Args:
        config: The configuration.
        reference: The name of the image.
        image_id: Its id.
        source: Where it comes from.
        digests: Digests of the layers as stored, base first.
        stored_sizes: Sizes of the layers as stored, base first.
    """
    instructions = {
        entry.layer: entry.instruction for entry in config.history if entry.layer is not None
    }
    layers = tuple(
        Layer(
            index=index,
            diff_id=diff_id,
            digest=digests[index] if digests and index < len(digests) else None,
            instruction=instructions.get(index, ""),
            stored_size=stored_sizes[index] if stored_sizes is not None else None,
        )
        for index, diff_id in enumerate(config.diff_ids)
    )
    return Image(
        reference=reference,
        id=image_id,
        source=source,
        os=config.os,
        architecture=config.architecture,
        created=config.created,
        config=config.raw,
        layers=layers,
        history=config.history,
    )


def history_of(image: Image) -> list[tuple[HistoryEntry | None, int | None]]:
    """An image's history with its layers: entries, oldest first, each with its layer's number.

    A layer that the history does not name has no entry, and stands below the layers above it.
    """
    steps: list[tuple[HistoryEntry | None, int | None]] = []
    named = {entry.layer for entry in image.history}
    untold = [layer.index for layer in image.layers if layer.index not in named]
    for entry in image.history:
        if entry.layer is None:
            steps.append((entry, None))
        elif entry.layer < len(image.layers):
            while untold and untold[0] < entry.layer:
                steps.append((None, untold.pop(0)))
            steps.append((entry, entry.layer))
    return steps + [(None, layer) for layer in untold]
