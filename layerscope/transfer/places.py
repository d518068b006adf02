"""Where a pull by our own client puts an image: an archive, a layout, our own store, the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.config import store_folder
from layerscope.engines.address import EMBEDDED
from layerscope.engines.sources import FILES, split_archive
from layerscope.errors import UsageError
from layerscope.images.archives.writing import Blob, PackedImage, check_absent, is_layout
from layerscope.oci.reference import Reference, parse_reference
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.images.image import Image
    from layerscope.images.registry.client import Check
    from layerscope.oci.manifest import Descriptor


@dataclass(frozen=True, slots=True)
class Place:
    """What a user names as the target: `docker-archive:PATH[:REF]` and so on."""

    form: str  # One of `FILES`, or `embedded`.
    path: Path
    ref: str  # The name that the image gets there; empty for the one that it is pulled by.

    def __str__(self) -> str:
        if self.form == EMBEDDED:
            return f"{EMBEDDED}:{self.ref}"
        return f"{self.form}:{self.path}" + (f":{self.ref}" if self.ref else "")


def parse_place(text: str) -> Place:
    """The place in a target; its path is made absolute. Raises UsageError."""
    form, _, rest = text.partition(":")
    if form == EMBEDDED:
        return Place(EMBEDDED, store_folder(), rest and _name(rest))
    for known in FILES:
        if form == known and rest:
            path, ref = split_archive(rest)
            if ref and known == "docker-archive":
                _name(ref)
            return Place(known, path.absolute(), ref or "")
    raise UsageError(
        f"{visible(text)} is not a target.",
        "Write docker-archive:PATH, oci-archive:PATH, oci:DIR, each with :REF for its name there, "
        "or embedded:NAME.",
    )


def _name(text: str) -> str:
    """A name with its tag; raises UsageError if it is not one that an image can have."""
    try:
        return str(replace(parse_reference(text), digest=None))
    except ValueError:
        raise UsageError(f"{visible(text)} is not the name of an image.") from None


def check_place(place: Place) -> None:
    """Raises UsageError if something is in the way."""
    if place.form == EMBEDDED:
        return
    if place.form == "oci":
        is_layout(place.path)
    else:
        check_absent(place.path)


class Target:
    """Takes images; all of them are where they should be after `finish`."""

    name = ""  # What it is, for users.

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        """Which layers of an image have to be fetched for it."""
        return (True,) * len(layers)

    def whole_index(self) -> bool:
        """Whether the image keeps the id that it has in its index, of which this is a part."""
        return False

    #: Whether it takes each layer as soon as it is here, by `unpack`.
    unpacks = False

    def unpack(self, layer: Blob, source: str, check: Check) -> None:
        """Takes a verified layer of an image; called by several threads."""

    def put(self, image: PackedImage, reference: Reference) -> str:
        """Takes an image, and returns its id there."""
        raise NotImplementedError

    def finish(self) -> str:
        """Completes the target; returns where that is, for users; empty for the engine."""
        return ""

    def close(self) -> None:
        """Lets go of what it needs until all images are there."""
