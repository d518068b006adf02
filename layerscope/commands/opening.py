"""Opens the image that a command names, with the command's options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

from layerscope.errors import LayerscopeError, UsageError
from layerscope.output import warn
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.images.loading import Loaded
    from layerscope.images.progress import Progress
    from layerscope.images.reader import ImageReader


def open_reader(
    source: str,
    arguments: argparse.Namespace,
    progress: Progress | None = None,
    platform: str | None = None,
) -> ImageReader:
    from layerscope.engines.resolve import open_image

    return open_image(
        source,
        progress,
        platform=platform or arguments.platform,
        export=arguments.export,
        cache=not arguments.no_cache,
        insecure=arguments.insecure,
    )


@contextmanager
def opened(
    source: str, arguments: argparse.Namespace, platform: str | None = None
) -> Iterator[tuple[Loaded, ImageReader]]:
    """Yields an image with its layers, and the reader of its files."""
    from layerscope.images.cache.changesets import ChangesetCache
    from layerscope.images.loading import is_cached, load, price_text

    with ExitStack() as stack:
        with shown_progress() as progress:
            reader = open_reader(source, arguments, progress, platform)
            stack.callback(reader.close)
            cache = None if arguments.no_cache else ChangesetCache()
            if reader.price and not is_cached(reader, cache):
                warn(price_text(reader))
            loaded = load(reader, progress, cache=cache)
        # `inspect` shows it in its report.
        if loaded.image.missing and arguments.command != "inspect":
            from layerscope.images.image import missing_text

            text = missing_text(loaded.image)
            name = visible(loaded.image.reference)
            warn(f"{name}: {text[0].lower()}{text[1:]} Its files are not included.")
        yield loaded, reader


def dockerfile_on_stdin(hint: str) -> str:
    from layerscope.dockerfile.editing.text_file import read_dockerfile

    # None if the process was started with a closed stdin.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise UsageError("Standard input is closed.", hint)
    return read_dockerfile(stdin.buffer, "Standard input").decode("utf-8", "surrogateescape")


def check_layer(layer: int | None, height: int) -> None:
    """Raises UsageError if an image with `height` layers lacks the layer."""
    if layer is not None and not 0 <= layer < height:
        raise UsageError(
            f"There is no layer {layer}.",
            f"The image has layers 0 to {height - 1}." if height else "The image has no layers.",
        )


def layer_of(arguments: argparse.Namespace, loaded: Loaded) -> int | None:
    """Returns the layer of `--layer`, or None; raises UsageError if the image lacks it."""
    layer: int | None = arguments.layer
    height = loaded.stack.height
    check_layer(layer, height)
    if not height and layer is None and not loaded.complete:
        raise LayerscopeError("The image has not been read.")
    return layer
