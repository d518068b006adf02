"""Targets of a pull by layerscope's client: archive, layout, embedded store, engine."""

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
    """A parsed target: `docker-archive:PATH[:REF]` and so on."""

    form: str  # One of `FILES`, or `embedded`.
    path: Path
    ref: str  # The image's name there; "" for the pulled name.

    def __str__(self) -> str:
        if self.form == EMBEDDED:
            return f"{EMBEDDED}:{self.ref}"
        return f"{self.form}:{self.path}" + (f":{self.ref}" if self.ref else "")


def parse_place(text: str) -> Place:
    """Parses a target, with an absolute path. Raises UsageError."""
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
    """Returns a name with its tag; raises UsageError if it is invalid."""
    try:
        return str(replace(parse_reference(text), digest=None))
    except ValueError:
        raise UsageError(f"{visible(text)} is not the name of an image.") from None


def check_place(place: Place) -> None:
    """Raises UsageError if the path exists."""
    if place.form == EMBEDDED:
        return
    if place.form == "oci":
        is_layout(place.path)
    else:
        check_absent(place.path)


class Target:
    """Receives images, which are complete after `finish`."""

    name = ""  # Its description for users.

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        """Returns which layers of an image it needs."""
        return (True,) * len(layers)

    def whole_index(self) -> bool:
        """Whether the image is stored with its index, and so keeps its id."""
        return False

    #: Whether to call `unpack` for each layer as soon as it arrives.
    unpacks = False

    def unpack(self, layer: Blob, source: str, check: Check) -> None:
        """Receives a verified layer of an image; called by several threads."""

    def put(self, image: PackedImage, reference: Reference) -> str:
        """Receives an image, and returns its id there."""
        raise NotImplementedError

    def finish(self) -> str:
        """Completes the target; returns its location for users, or "" for the engine."""
        return ""

    def close(self) -> None:
        """Releases its resources."""
