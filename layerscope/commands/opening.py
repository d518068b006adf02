"""Opens what a command names, as its flags say."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from layerscope.errors import LayerscopeError, UsageError
from layerscope.reports.narration import Narration
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.images.cache import ChangesetCache
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[tuple[Loaded, ImageReader]]:
    """The image that a command is about, read whole, and open."""
    with open_source(arguments.source, arguments) as opened:
        yield opened


@contextmanager
def open_source(
    source: str, arguments: argparse.Namespace, platform: str | None = None
) -> Iterator[tuple[Loaded, ImageReader]]:
    """An image that has been read; open, so that content can be read too."""
    from layerscope.engines.resolve import open_image
    from layerscope.images.loading import load

    with ExitStack() as stack:
        with Narration() as narration:
            reader = open_image(
                source,
                narration.progress,
                platform=platform or arguments.platform,
                export=arguments.export,
                cache=not arguments.no_cache,
                insecure=arguments.insecure,
            )
            stack.callback(reader.close)
            loaded = load(reader, narration.progress, cache=cache_of(arguments))
        # `inspect` says it itself.
        if loaded.image.missing and arguments.command != "inspect":
            from layerscope.images.image import told_missing

            told = told_missing(loaded.image)
            name = visible(loaded.image.reference)
            print(
                f"layerscope: {name}: {told[0].lower()}{told[1:]} What follows lacks it.",
                file=sys.stderr,
            )
        yield loaded, reader


def cache_of(arguments: argparse.Namespace) -> ChangesetCache | None:
    """The cache; None if a command is to do without."""
    from layerscope.images.cache import ChangesetCache

    return None if arguments.no_cache else ChangesetCache()


def layer_of(arguments: argparse.Namespace, loaded: Loaded) -> int | None:
    """The layer that `--layer` names; None if it names none.

    Raises:
        UsageError: The image has no such layer.
    """
    layer: int | None = arguments.layer
    height = loaded.stack.height
    if layer is not None and not 0 <= layer < height:
        raise UsageError(
            f"There is no layer {layer}.",
            f"The image has layers 0 to {height - 1}." if height else "The image has no layers.",
        )
    if not height and layer is None and not loaded.complete:
        raise LayerscopeError("The image has not been read.")
    return layer
