"""The sizes and waste of an engine's images: from the cache, or measured in another process.

Does not import numpy, which would delay the lists on the screen; `measure_worker` does.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence

from layerscope.bounded import Lines
from layerscope.engines.described import engine_image
from layerscope.engines.engine import Engine
from layerscope.images.cache.sizes import SizesCache
from layerscope.images.image import Image
from layerscope.images.platforms import own_platform
from layerscope.images.sizes import ImageFacts, ImageSizes
from layerscope.programs import python_module
from layerscope.records import Record, parse

_LONGEST = 1 << 20  # The most bytes of a line from the other process.


class MeasuredImage(Record, frozen=True):
    """A line that the other process writes."""

    id: str
    sizes: ImageSizes | None = None  # None if they cannot be measured in the permitted ways.


def facts_of(image: Image, sizes: ImageSizes | None) -> ImageFacts:
    platform = own_platform(image)
    platforms = image.platforms or (() if platform is None else (platform,))
    layers = tuple(layer.diff_id for layer in image.layers)
    return ImageFacts(tuple(map(str, platforms)), layers, sizes)


def describe(engine: Engine, identifier: str, cache: SizesCache) -> ImageFacts:
    """Returns facts about an engine's image, with its sizes if they are cached.

    Raises LayerscopeError if the engine cannot inspect it.
    """
    image = engine_image(engine, identifier)
    return facts_of(image, cache.get([layer.diff_id for layer in image.layers]))


def measure_apart(
    ids: Sequence[str],
    on_stop: Callable[[Callable[[], object]], object],
    *,
    thorough: bool = False,
) -> Iterator[MeasuredImage]:
    """Measures images of the current engine in a low-priority process, and yields each result.

    So it does not delay keys. `on_stop` receives a function that ends the process. `thorough` also
    uses slow ways, such as exports. The process ends with the thread that consumes the iterator.
    """
    arguments = [str(os.getpid()), "thorough" if thorough else "cheap", *ids]
    command, environment = python_module("layerscope.engines.measure_worker", *arguments)
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
        bufsize=0,
    ) as process:
        on_stop(process.kill)
        try:
            assert process.stdout is not None  # noqa: S101
            lines = Lines(_LONGEST)
            while data := os.read(process.stdout.fileno(), 1 << 16):
                for line in lines.feed(data):
                    yield parse(line, MeasuredImage)
        finally:
            process.kill()
