"""Measures images of an engine; `measuring` runs it as a program."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from layerscope.engines.described import engine_image
from layerscope.engines.docker import connect_any
from layerscope.engines.engine import Engine
from layerscope.engines.local_store import open_with
from layerscope.engines.measuring import MeasuredImage
from layerscope.errors import LayerscopeError
from layerscope.filesystem.waste import measure
from layerscope.images.archives.engine_export import EngineExportReader
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.cache.sizes import SizesCache
from layerscope.images.image import Image
from layerscope.images.loading import Loaded, load
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.images.sizes import ImageSizes
from layerscope.images.stores.containerd import ContentReader
from layerscope.programs import end_with_parent

#: The most compressed bytes to read for an image without being asked: about two seconds of work.
_UNASKED = 256 << 20
_NICE = 10


def sizes_of(
    engine: Engine,
    image: Image,
    progress: Progress,
    *,
    thorough: bool = False,
    cache: ChangesetCache | None = None,
) -> ImageSizes | None:
    """Returns the sizes of an engine's image; see `engine_image`.

    None if they are neither cached nor cheap to read. `thorough` reads the image in any way, even
    by an export.
    """
    kept, cache = SizesCache(), cache or ChangesetCache()
    diff_ids = [layer.diff_id for layer in image.layers]
    sizes = kept.get(diff_ids)
    if sizes is not None:
        return sizes
    stack = cache.known_stack(diff_ids)
    if stack is not None:
        sizes = ImageSizes.of(measure(stack))
    elif not thorough and not engine.is_local:
        return None
    else:
        with read_image(engine, image, progress, thorough=thorough, cache=cache) as found:
            if found is None or found.image.missing:
                return None
            sizes = ImageSizes.of(measure(found.stack))
    kept.put(diff_ids, sizes)
    return sizes


@contextmanager
def read_image(
    engine: Engine,
    image: Image,
    progress: Progress,
    *,
    thorough: bool = False,
    cache: ChangesetCache | None = None,
) -> Iterator[Loaded | None]:
    """Yields an image with its layers, or None if reading them is not cheap."""
    platform = str(image.platforms[0]) if image.platforms else None
    reader = open_with(engine, image.id, image.source, platform=platform)
    try:
        cache = cache or ChangesetCache()
        if thorough or _is_cheap(reader, cache):
            yield load(reader, progress, cache=cache)
        else:
            yield None
    finally:
        reader.close()


def _is_cheap(reader: ImageReader, cache: ChangesetCache) -> bool:
    """Whether reading layers needs no export, no walk of folders, and little decompression."""
    keys = [key for each in reader.image.layers if (key := reader.cache_key(each.index))]
    if len(keys) < len(reader.image.layers):
        return False
    if isinstance(reader, ContentReader):
        new = zip(reader.stored_layers, keys, strict=True)
        size = sum(layer.size for layer, key in new if not cache.has(key))
        return size <= _UNASKED or cache.known_stack(keys) is not None
    return not isinstance(reader, EngineExportReader) or cache.known_stack(keys) is not None


def main(argv: Sequence[str]) -> None:
    """Writes a line for each image; arguments are the parent's process id, the mode, and ids."""
    parent, how, *ids = argv
    os.nice(_NICE)
    if not end_with_parent(int(parent)):
        return
    engine = connect_any()
    for identifier in ids:
        try:
            image = engine_image(engine, identifier)
            sizes = sizes_of(engine, image, Progress(), thorough=how == "thorough")
        except LayerscopeError:
            sizes = None  # It was removed meanwhile, is damaged, or is inaccessible.
        line = MeasuredImage(identifier, sizes).dump()
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
