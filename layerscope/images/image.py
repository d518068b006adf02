"""An image: its names, layers and history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from layerscope.oci.config import HistoryEntry, ImageConfig
from layerscope.oci.platform import Platform
from layerscope.text import one_line

#: In place of the instruction of a layer of which the history says nothing.
NOT_IN_HISTORY = "(not in the history)"
#: What Docker's classic builder writes in place of the files that COPY and ADD name.
_CHECKSUM = re.compile(r"\b((?:file|multi|dir):[0-9a-f]{12})[0-9a-f]{52}\b")
#: What engines note about the layer that `docker import` makes.
_IMPORT = re.compile(r"imported(?: from)?:? (.+)", re.IGNORECASE)


def maker(instruction: str | None, comment: str) -> str:
    """What a history entry says about what made it, in a line that is safe on a terminal.

    Checksums are short, so that what follows can be seen. A comment is not an instruction, and is
    marked: `imported: …` or `unknown: …`.
    """
    if own := one_line(instruction or ""):
        return _CHECKSUM.sub(r"\1", own)
    note = one_line(comment)
    if found := _IMPORT.fullmatch(note):
        source = found[1]
        return f"imported: {'standard input' if source == '-' else source}"
    return f"unknown: {note}" if note else ""


@dataclass(frozen=True, slots=True)
class Layer:
    index: int  # Its number, from 0 for the base.
    diff_id: str
    digest: str | None  # Digest of its blob, or None if unknown.
    #: The Dockerfile instruction that made it, or what the history has instead; None if unknown.
    instruction: str | None
    #: Size of its blob, if it is in a registry or missing; else None.
    stored_size: int | None = None
    #: Why its content is missing, as the end of a sentence; empty if it is not. A missing layer
    #: shows no entries.
    missing: str = ""
    comment: str = ""  # What the history notes about it, such as `Imported from -`.

    @property
    def made_by(self) -> str:
        """What made it, in a line that is safe on a terminal."""
        return maker(self.instruction, self.comment) or NOT_IN_HISTORY


@dataclass(frozen=True, slots=True)
class Image:
    reference: str  # The name under which it was opened, or its first one.
    id: str  # Digest of its configuration, or the engine's id.
    source: str  # Where it comes from, in the form of containers-transports(5).
    os: str
    architecture: str  # Architecture, with a variant after a slash.
    created: str | None  # RFC 3339 time, or None.
    config: Mapping[str, Any] = field(repr=False)
    layers: tuple[Layer, ...]  # Layers, base first.
    history: tuple[HistoryEntry, ...]  # History entries, oldest first.
    #: Platforms that the source has the image for, this one's first; empty if there is no choice.
    platforms: tuple[Platform, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)  # Of its manifest.
    #: The configuration as it is stored; empty as long as only an engine describes it.
    document: bytes = field(default=b"", repr=False)
    names: tuple[str, ...] = ()  # All its names in an archive or a layout.

    @property
    def missing(self) -> tuple[Layer, ...]:
        """Layers whose content is missing, so that no merged view is complete."""
        return tuple(layer for layer in self.layers if layer.missing)


def with_missing(image: Image, reasons: Mapping[int, str], sizes: Sequence[int]) -> Image:
    """The same image with missing layers: reasons by number, and sizes of all layers' blobs."""
    layers = tuple(
        replace(layer, missing=reasons[layer.index], stored_size=sizes[layer.index])
        if layer.index in reasons
        else layer
        for layer in image.layers
    )
    return replace(image, layers=layers)


def missing_text(image: Image) -> str:
    """Says in a sentence which layers are missing and why; empty if none is."""
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
) -> Image:
    """Makes an image from its configuration, and the digests of its blobs, base first."""
    entries = {entry.layer: entry for entry in config.history}
    known = dict(enumerate(digests or ()))
    layers = []
    for index, diff_id in enumerate(config.diff_ids):
        entry = entries.get(index)
        made_by, comment = (entry.instruction, entry.comment) if entry else ("", "")
        layers.append(Layer(index, diff_id, known.get(index), made_by or None, comment=comment))
    return Image(
        reference=reference,
        id=image_id,
        source=source,
        os=config.os,
        architecture=config.architecture,
        created=config.created,
        config=config.raw,
        layers=tuple(layers),
        history=config.history,
        document=config.data,
    )


def history_of(image: Image) -> list[tuple[HistoryEntry | None, int | None]]:
    """History entries, oldest first, each with its layer's number or None.

    Layers without an entry come before the layers above them.
    """
    steps: list[tuple[HistoryEntry | None, int | None]] = []
    named = {entry.layer for entry in image.history}
    unnamed = [layer.index for layer in image.layers if layer.index not in named]
    for entry in image.history:
        if entry.layer is None:
            steps.append((entry, None))
        elif entry.layer < len(image.layers):
            while unnamed and unnamed[0] < entry.layer:
                steps.append((None, unnamed.pop(0)))
            steps.append((entry, entry.layer))
    return steps + [(None, layer) for layer in unnamed]
