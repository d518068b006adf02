"""Images of an engine, as described without an export."""

from __future__ import annotations

from dataclasses import replace

from layerscope.engines.engine import Engine
from layerscope.errors import PlatformMissingError
from layerscope.images.described import described, inspect_platform
from layerscope.images.image import Image
from layerscope.images.platforms import check_platform
from layerscope.text import short_id, visible


def engine_image(
    engine: Engine, identifier: str, platform: str | None = None, *, history: bool = False
) -> Image:
    """Returns an engine's description of an image, optionally with its history.

    Raises PlatformMissingError if the image is not for the platform, and NotFoundError if there is
    no such image.
    """
    try:
        inspected, chosen, offered = inspect_platform(engine, identifier, platform)
    except PlatformMissingError as error:
        if platform is not None or not error.platforms:
            raise
        inspected, chosen, offered = inspect_platform(engine, identifier, error.platforms[0])
    reference = inspected.tags[0] if inspected.tags else short_id(identifier)
    entries = engine.history(identifier, chosen) if history else ()
    source = f"{engine.transport}:{identifier}"
    image = described(inspected, entries, reference, identifier, source)
    image = replace(image, platforms=offered)
    check_platform(image, platform, visible(reference))
    return image
