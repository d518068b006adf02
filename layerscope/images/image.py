"""An image: its names, layers and history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from layerscope.oci.config import HistoryEntry, ImageConfig
from layerscope.oci.platform import Platform
from layerscope.text import one_line

#: Shown instead of the instruction if the history has none for a layer.
NOT_IN_HISTORY = "(not in the history)"
#: Docker's classic builder writes this instead of the files that COPY and ADD name.
_CHECKSUM = re.compile(r"\b((?:file|multi|dir):[0-9a-f]{12})[0-9a-f]{52}\b")
#: The comment that engines write for the layer of `docker import`.
_IMPORT = re.compile(r"imported(?: from)?:? (.+)", re.IGNORECASE)


def maker(instruction: str | None, comment: str) -> str:
    """Describes what created a layer, from its history entry, in one line that is safe to print.

    Checksums are shortened so that the text after them is visible. A comment is not an
    instruction, and is marked as such: `imported: …` or `unknown: …`.
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
    #: The Dockerfile instruction that created it, or other text in the history; None if unknown.
    instruction: str | None
    #: Size of its blob if it is in a registry or missing, else None.
    stored_size: int | None = None
    #: Why its content is missing, as the end of a sentence; empty if it is present. A missing
    #: layer shows no entries.
    missing: str = ""
    comment: str = ""  # Its comment in the history, such as `Imported from -`.

    @property
    def made_by(self) -> str:
        """What created it, in one line that is safe to print."""
        return maker(self.instruction, self.comment) or NOT_IN_HISTORY


@dataclass(frozen=True, slots=True)
class Image:
    reference: str  # The name it was opened by, or its first one.
    id: str  # Digest of its configuration, or the engine's id.
    source: str  # Its source in the form of containers-transports(5).
    os: str
    architecture: str  # With its variant after a slash.
    created: str | None  # RFC 3339 time, or None.
    config: Mapping[str, Any] = field(repr=False)
    layers: tuple[Layer, ...]  # Base first.
    history: tuple[HistoryEntry, ...]  # Oldest first.
    #: Platforms that the source has the image for, this one first; empty if there is no choice.
    platforms: tuple[Platform, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)  # Of its manifest.
    #: The configuration as stored; empty while only an engine has described it.
    document: bytes = field(default=b"", repr=False)
    names: tuple[str, ...] = ()  # All its names in an archive or a layout.

    @property
    def missing(self) -> tuple[Layer, ...]:
        """Layers whose content is missing; with any of these, the merged view is incomplete."""
        return tuple(layer for layer in self.layers if layer.missing)


def with_missing(image: Image, reasons: Mapping[int, str], sizes: Sequence[int]) -> Image:
    """The image with missing layers: reasons by layer number, and the sizes of all blobs."""
    layers = tuple(
        replace(layer, missing=reasons[layer.index], stored_size=sizes[layer.index])
        if layer.index in reasons
        else layer
        for layer in image.layers
    )
    return replace(image, layers=layers)


def missing_text(image: Image) -> str:
    """A sentence that lists the missing layers and the reasons; empty if none is missing."""
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
    """Creates an image from its configuration and the digests of its blobs, base first."""
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
    """History entries, oldest first, each with its layer's number, if it has one.

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
