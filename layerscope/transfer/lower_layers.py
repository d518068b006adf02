"""A temporary image in an engine, with the lowest layers of another image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

from layerscope.engines.docker import DockerEngine, with_algorithm
from layerscope.engines.resolve import open_image
from layerscope.engines.transfers import loaded_name
from layerscope.errors import NotFoundError, UsageError
from layerscope.images.archives.packing import bare, packed
from layerscope.images.progress import Progress
from layerscope.jobs.worker import Cancellation
from layerscope.transfer.engine_target import send


@contextmanager
def image_up_to(
    engine: DockerEngine, source: str, layer: int, progress: Progress, platform: str | None = None
) -> Iterator[str]:
    """Yields the id of an image with the layers of another up to a layer.

    Removes it at the end, unless the engine had it before. Raises UsageError if there is no such
    layer, and LayerscopeError if the image cannot be created.
    """
    with closing(open_image(source, progress, platform=platform)) as reader:
        image, count = reader.image, len(reader.image.layers)
        if not 0 <= layer < count:
            last = f"The image has layers 0 to {count - 1}." if count else "It has no layers."
            raise UsageError(f"There is no layer {layer}.", last)
        unpacked = engine.takes_parts and bool(image.document)
        making = (
            nullcontext(bare(image, layer + 1))
            if unpacked
            else packed(reader, progress, layers=layer + 1)
        )
        with making as made:
            name = loaded_name(engine, made)
            ours = not _has(engine, name)
            if ours:
                progress.what, progress.total = "Loading the image", made.size
                send(engine, made, progress.advance, Cancellation())
    identifier = with_algorithm(engine.inspect(name).id)
    try:
        yield identifier
    finally:
        if ours:
            engine.remove_image(identifier)


def _has(engine: DockerEngine, name: str) -> bool:
    try:
        engine.inspect(name)
    except NotFoundError:
        return False
    return True
