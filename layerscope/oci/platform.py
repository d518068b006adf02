"""Platforms, `os/architecture[/variant]`, and the choice of one manifest out of an index.

The names are those of Go, as the OCI image specification (image-index.md, "platform") has them.
"""

from __future__ import annotations

import platform as host
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from layerscope.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor

#: Marks a manifest that is about another one, and no image: what BuildKit attaches to images.
ATTESTATION = "vnd.docker.reference.type"

# What uname(2) and users say, and what Go says.
_ARCHITECTURES = {
    "aarch64": "arm64",
    "armhf": "arm/v7",
    "armel": "arm/v6",
    "armv5l": "arm/v5",
    "armv6l": "arm/v6",
    "armv7l": "arm/v7",
    "armv8l": "arm/v8",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "loongarch64": "loong64",
    "x86_64": "amd64",
    "x86-64": "amd64",
}

#: The variant that is meant where none is named.
_DEFAULT_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}

_PART = re.compile(r"[A-Za-z0-9_.-]+")


class PlatformError(ValueError):
    """A text that names no platform; the message says so."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform.

    Attributes:
        os: Operating system, such as `linux`.
        architecture: Architecture, such as `arm64`.
        variant: Variant, such as `v7`; empty if none is named.
    """

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        text = f"{self.os}/{self.architecture}"
        return f"{text}/{self.variant}" if self.variant else text

    @property
    def document(self) -> dict[str, str]:
        """The platform as an image index has it."""
        words = {"os": self.os, "architecture": self.architecture, "variant": self.variant}
        return {key: value for key, value in words.items() if value}

    @property
    def level(self) -> int | None:
        """The number of the variant, its default included; None where it has no number."""
        variant = self.variant or _DEFAULT_VARIANTS.get(self.architecture, "")
        digits = variant.removeprefix("v")
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None

    def rank(self, offered: Platform) -> int | None:
        """How well an offered platform runs where this one is wanted.

        Lower is better: 0 is the same, more is that many variants lower, as every processor runs
        what was made for an older one of its kind. None means not at all.
        """
        if (self.os, self.architecture) != (offered.os, offered.architecture):
            return None
        if self.variant == offered.variant:
            return 0
        mine, other = self.level, offered.level
        if mine is None or other is None:
            # An image that names no variant may be meant for all; one that names another is not.
            return 1000 if not offered.variant or not self.variant else None
        return mine - other if other <= mine else None


def parse_platform(text: str) -> Platform:
    """Reads `os/architecture[/variant]`, or an architecture alone, of Linux.

    Raises:
        PlatformError: It is neither.
    """
    parts = text.strip().lower().split("/")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts) > 3:
        raise PlatformError(f"{text!r} is not a platform")
    if len(parts) == 1:
        parts = ["linux", parts[0]]
    system, architecture, *rest = parts
    architecture, _, variant = _ARCHITECTURES.get(architecture, architecture).partition("/")
    return Platform(system, architecture, rest[0] if rest else variant)


def host_platform() -> Platform:
    """The platform of the containers that this host runs: Linux, on its own architecture."""
    try:
        return parse_platform(f"linux/{host.machine()}")
    except PlatformError:
        return Platform("linux", "amd64")


def image_candidates(descriptors: Iterable[Descriptor]) -> Iterator[Descriptor]:
    """The descriptors of an index that may lead to an image: attestations are passed over."""
    for descriptor in descriptors:
        if ATTESTATION in descriptor.annotations or descriptor.platform == "unknown/unknown":
            continue
        if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
            yield descriptor


def best_platform(offered: Iterable[Platform], wanted: Platform) -> Platform | None:
    """The platform that fits best, among equals the first; None if none does."""
    ranks = {platform: wanted.rank(platform) for platform in offered}
    fitting = [(rank, platform) for platform, rank in ranks.items() if rank is not None]
    return min(fitting, key=lambda pair: pair[0])[1] if fitting else None


def choose(candidates: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """Picks the manifest that fits best; among equals the first, as the specification asks.

    One that names no platform is taken where it is the only one.

    Args:
        candidates: Descriptors of images, indexes in between resolved.
        wanted: The platform that the image is to run on.
    """
    offered: dict[Platform, Descriptor] = {}
    for descriptor in candidates:
        if descriptor.platform is not None:
            try:
                offered.setdefault(parse_platform(descriptor.platform), descriptor)
            except PlatformError:
                continue
    best = best_platform(offered, wanted)
    if best is not None:
        return offered[best]
    if len(candidates) == 1 and candidates[0].platform is None:
        return candidates[0]
    return None


def platform_names(candidates: Iterable[Descriptor]) -> list[str]:
    """The platforms on offer, each once, in their order."""
    return list(dict.fromkeys(descriptor.platform or "unnamed" for descriptor in candidates))
