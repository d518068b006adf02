"""Platforms, `os/architecture[/variant]`, and choosing a manifest from an index.

Names are Go's, as in the OCI image specification (image-index.md, "platform").
"""

from __future__ import annotations

import platform as host
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from layerscope.oci.manifest import CONFIG_TYPES, INDEX_TYPES, MANIFEST_TYPES, Descriptor

#: Marks a manifest that BuildKit attaches to an image, such as provenance.
ATTESTATION = "vnd.docker.reference.type"

# Names from uname(2) and users, and Go's.
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

_KNOWN = {"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"}

#: The default variant.
_DEFAULT_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}

_PART = re.compile(r"[A-Za-z0-9_.-]+")


class PlatformError(ValueError):
    """A text that is not a platform."""


@dataclass(frozen=True, slots=True)
class Platform:
    os: str
    architecture: str
    variant: str = ""  # Such as `v7`, or empty.

    def __str__(self) -> str:
        text = f"{self.os}/{self.architecture}"
        return f"{text}/{self.variant}" if self.variant else text

    @property
    def document(self) -> dict[str, str]:
        words = {"os": self.os, "architecture": self.architecture, "variant": self.variant}
        return {key: value for key, value in words.items() if value}

    @property
    def level(self) -> int | None:
        """The number of the variant or of the default one; None if it has no number."""
        variant = self.variant or _DEFAULT_VARIANTS.get(self.architecture, "")
        digits = variant.removeprefix("v")
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None

    def rank(self, offered: Platform) -> int | None:
        """How well an offered platform serves as this one; lower is better.

        0 is the same; a positive number is how many variants lower it is, since processors run code
        for older variants. None means not at all.
        """
        if (self.os, self.architecture) != (offered.os, offered.architecture):
            return None
        if self.variant == offered.variant:
            return 0
        mine, other = self.level, offered.level
        if mine is None or other is None:
            # An image without a variant may be for all; one with a different variant is not.
            return 1000 if not offered.variant or not self.variant else None
        return mine - other if other <= mine else None


def parse_platform(text: str) -> Platform:
    """Parses `os/architecture[/variant]`, a known architecture, or `linux`.

    Raises PlatformError if it is neither.
    """
    parts = text.strip().lower().split("/")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts) > 3:
        raise PlatformError(f"{text!r} is not a platform")
    if len(parts) == 1:
        parts = ["linux", host.machine().lower() if parts[0] == "linux" else parts[0]]
        if _ARCHITECTURES.get(parts[1], parts[1]).partition("/")[0] not in _KNOWN:
            raise PlatformError(f"{text!r} is not a platform")
    system, architecture, *rest = parts
    architecture, _, variant = _ARCHITECTURES.get(architecture, architecture).partition("/")
    return Platform(system, architecture, rest[0] if rest else variant)


def host_platform() -> Platform:
    """The platform of containers on this host: Linux, with its architecture."""
    try:
        return parse_platform(f"linux/{host.machine()}")
    except PlatformError:
        return Platform("linux", "amd64")


def image_candidates(descriptors: Iterable[Descriptor]) -> Iterator[Descriptor]:
    """The descriptors of an index that may be images, without attestations and other artifacts."""
    for descriptor in descriptors:
        if ATTESTATION in descriptor.annotations or descriptor.platform == "unknown/unknown":
            continue
        if descriptor.artifact_type not in CONFIG_TYPES and descriptor.platform is None:
            continue
        if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
            yield descriptor


def best_platform(offered: Iterable[Platform], wanted: Platform) -> Platform | None:
    """The platform that fits best, the first among equals, or None."""
    ranks = {platform: wanted.rank(platform) for platform in offered}
    fitting = [(rank, platform) for platform, rank in ranks.items() if rank is not None]
    return min(fitting, key=lambda pair: pair[0])[1] if fitting else None


def choose(candidates: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """Chooses the manifest that fits best, the first among equals, as the specification requires.

    A manifest without a platform is chosen if it is the only one.

    `candidates` are descriptors of images, with nested indexes resolved.
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
    """The platforms of images, as far as the index has them."""
    return list(dict.fromkeys(each.platform for each in candidates if each.platform))
