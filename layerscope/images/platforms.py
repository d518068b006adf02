"""Choosing a platform of a source, and the errors if it is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from layerscope.errors import PlatformMissingError, UsageError
from layerscope.images.image import Image
from layerscope.oci.manifest import Descriptor
from layerscope.oci.platform import (
    Platform,
    PlatformError,
    host_platform,
    parse_platform,
    platform_names,
)
from layerscope.text import visible

#: The most platforms that a text names; images have a dozen.
_MOST_NAMES = 24


def wanted_platform(asked: str | None) -> Platform:
    """Parses `os/architecture[/variant]`; None means this host's platform. Raises UsageError."""
    if asked is None:
        return host_platform()
    try:
        return parse_platform(asked)
    except PlatformError:
        raise UsageError(
            f"{visible(asked)} is not a platform.", "Write it as linux/arm64/v8."
        ) from None


def own_platform(image: Image) -> Platform | None:
    """The platform of an image, from its index or else its configuration; None if unknown."""
    if image.platforms:
        return image.platforms[0]
    if not image.os or not image.architecture:
        return None
    return Platform(image.os, *image.architecture.split("/", 1))


def other_platforms(image: Image) -> str:
    """Returns the other platforms of an image's source as text, or an empty string.

    A source may claim any number of them; only the first are listed.
    """
    others = [visible(str(other)) for other in image.platforms[1:]]
    return ", ".join(others[:_MOST_NAMES] + ["…"] * (len(others) > _MOST_NAMES))


def missing_platform(
    place: str, wanted: Platform, offered: Iterable[str], otherwise: str = ""
) -> PlatformMissingError:
    """The error for a platform that a source does not have.

    `place` is the source's name, safe to show. Offered names that are not platforms are left out.
    `otherwise` is the hint if the source has no platforms to choose from.
    """
    names = [name for name in dict.fromkeys(offered) if _parsed(name) is not None]
    shown = names[:_MOST_NAMES] + ["…"] * (len(names) > _MOST_NAMES)
    return PlatformMissingError(
        f"{place} has no image for {visible(str(wanted))}.",
        f"Choose one with --platform: {visible(', '.join(shown))}." if names else otherwise,
        names,
    )


def check_platform(image: Image, asked: str | None, place: str) -> None:
    """Rejects an image for another platform than requested.

    `place` is its source's name, safe to show. Raises PlatformMissingError if the platform
    differs, and UsageError if `asked` is not a platform.
    """
    if asked is None:
        return
    wanted, own = wanted_platform(asked), own_platform(image)
    if own is not None and wanted.rank(own) is None:
        raise missing_platform(place, wanted, [str(own)])


def with_platforms(image: Image, chosen: Descriptor, candidates: Iterable[Descriptor]) -> Image:
    """The image with the platforms of the index that lists it as `chosen`."""
    own = (chosen.platform and _parsed(chosen.platform)) or own_platform(image)
    if own is None:
        return image
    others = (_parsed(name) for name in platform_names(candidates))
    platforms = dict.fromkeys([own, *(other for other in others if other is not None)])
    return replace(image, platforms=tuple(platforms))


def _parsed(name: str) -> Platform | None:
    """The platform of a name, or None; a single word such as `unnamed` is not a platform."""
    try:
        return parse_platform(name) if "/" in name else None
    except PlatformError:
        return None
