"""Which of the platforms of a source is meant, and what to say if it is not there."""

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

#: So many platforms are named in a text; images have a dozen at most.
_MOST_NAMES = 24


def wanted_platform(asked: str | None) -> Platform:
    """The platform that is wanted.

    Args:
        asked: `os/architecture[/variant]`, or None for that of this host.

    Raises:
        UsageError: It names no platform.
    """
    if asked is None:
        return host_platform()
    try:
        return parse_platform(asked)
    except PlatformError:
        raise UsageError(
            f"{visible(asked)} is not a platform.", "Write it as linux/arm64/v8."
        ) from None


def own_platform(image: Image) -> Platform | None:
    """The platform of an image: that of its index, or else of its configuration; None if untold."""
    if image.platforms:
        return image.platforms[0]
    if not image.os or not image.architecture:
        return None
    return Platform(image.os, *image.architecture.split("/", 1))


def other_platforms(image: Image) -> str:
    """The platforms that an image is there for beside its own, for people; empty if there are none.

    A source may claim any number of them; no more are told than fit a few lines.
    """
    others = [visible(str(other)) for other in image.platforms[1:]]
    return ", ".join(others[:_MOST_NAMES] + ["…"] * (len(others) > _MOST_NAMES))


def missing_platform(place: str, wanted: Platform, offered: Iterable[str]) -> PlatformMissingError:
    """The error for a platform that a source does not have.

    Args:
        place: What the source is called; safe to show.
        wanted: The platform.
        offered: What there is; names that are no platforms are shown, but cannot be chosen.
    """
    names = list(dict.fromkeys(offered))
    told = names[:_MOST_NAMES] + ["…"] * (len(names) > _MOST_NAMES)
    return PlatformMissingError(
        f"{place} has no image for {visible(str(wanted))}.",
        f"Choose one with --platform: {visible(', '.join(told))}.",
        (name for name in names if _parsed(name) is not None),
    )


def check_platform(image: Image, asked: str | None, place: str) -> None:
    """Refuses an image of another platform than was asked for; no platform fits every image.

    Args:
        image: The image.
        asked: `os/architecture[/variant]`, or None.
        place: What its source is called; safe to show.

    Raises:
        PlatformMissingError: It is of another platform.
        UsageError: What was asked for names no platform.
    """
    if asked is None:
        return
    wanted, own = wanted_platform(asked), own_platform(image)
    if own is not None and wanted.rank(own) is None:
        raise missing_platform(place, wanted, [str(own)])


def with_platforms(image: Image, chosen: Descriptor, candidates: Iterable[Descriptor]) -> Image:
    """An image that knows which others there are beside it.

    Args:
        image: The image.
        chosen: The one of the candidates that it was read from.
        candidates: The images of an index.
    """
    own = (chosen.platform and _parsed(chosen.platform)) or own_platform(image)
    if own is None:
        return image
    others = (_parsed(name) for name in platform_names(candidates))
    platforms = dict.fromkeys([own, *(other for other in others if other is not None)])
    return replace(image, platforms=tuple(platforms))


def _parsed(name: str) -> Platform | None:
    """The platform of a name; a single word such as `unnamed` is none here."""
    try:
        return parse_platform(name) if "/" in name else None
    except PlatformError:
        return None
