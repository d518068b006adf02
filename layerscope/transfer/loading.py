"""Loads images from files into an engine: every form that can be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from layerscope.engines.docker import DockerEngine, with_algorithm
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.engine import Engine
from layerscope.engines.local_store import open_in_engine
from layerscope.engines.naming import plan_new
from layerscope.engines.resolve import open_image
from layerscope.engines.transfers import load, loaded, loaded_name
from layerscope.errors import AmbiguousError, UsageError
from layerscope.images.archives.packing import packed
from layerscope.images.archives.writing import PackedImage, archive_pieces, named
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, LayerTars
from layerscope.oci.reference import Reference, parse_reference
from layerscope.transfer.push_sources import opened_source
from layerscope.transfer.shared_layers import base_of, best_base, left_out


@dataclass(frozen=True, slots=True)
class Loaded:
    id: str
    name: str  # Empty if it has none.
    before: str = ""  # Id of another image that had the name before, or "".


def load_images(engine: Engine, source: str, progress: Progress) -> Iterator[Loaded]:
    """Loads all images of an archive or a layout. Raises LayerscopeError if one cannot be loaded.

    `source` is `docker-archive:PATH` or another one of files.
    """
    try:
        yield _load_one(engine, source, progress)
    except AmbiguousError as error:
        for choice in error.choices:
            yield _load_one(engine, choice, progress)


def _load_one(engine: Engine, source: str, progress: Progress) -> Loaded:
    if isinstance(engine, EmbeddedEngine):
        with closing(open_image(source, progress)) as reader:
            return send_to(engine, reader, progress)[0]
    if not isinstance(engine, DockerEngine):
        raise UsageError(f"{engine.name} cannot load images.", "Choose another with --engine.")
    with _packed(engine, source, progress) as (image, name):
        return _loaded(engine, image, name, progress)


def _loaded(engine: DockerEngine, image: PackedImage, name: str, progress: Progress) -> Loaded:
    image = named(image, reference_of(name))
    own = image.tags[0] if image.tags else ""
    before = plan_new(engine, own).held_by if own else ""
    send(engine, image, progress)
    identifier = with_algorithm(engine.inspect(own or loaded_name(engine, image)).id)
    return Loaded(identifier, own, before if before != identifier else "")


@contextmanager
def _packed(
    engine: DockerEngine, source: str, progress: Progress
) -> Iterator[tuple[PackedImage, str]]:
    """An image as it is stored; unpacked for engines that may not know how its layers are packed.

    Where the engine keeps blobs, that keeps the image's digest; elsewhere nothing is lost. Layers
    that the archive leaves out are the engine's own.
    """
    with closing(open_image(source, progress)) as reader:
        if engine.keeps_blobs and not reader.image.missing:
            with opened_source(source, None, progress.check) as (image, name):
                yield image, name
            return
        progress.what = "Reading the image"
        with _whole(engine, reader, progress) as image:
            yield image, reader.image.reference


@contextmanager
def _whole(engine: DockerEngine, reader: ImageReader, progress: Progress) -> Iterator[PackedImage]:
    if not reader.image.missing:
        with packed(reader, progress) as image:
            yield image
        return
    base = base_of(engine, reader.image)
    if engine.takes_parts:
        with packed(reader, progress, omitted=left_out(reader.image)) as image:
            yield image
        return
    with (
        closing(open_in_engine(base, f"docker-daemon:{base}")) as below,
        packed(reader, progress, below=below) as image,
    ):
        yield image


def send_to(engine: Engine, reader: LayerTars, progress: Progress) -> tuple[Loaded, int]:
    """Loads an image of any place; returns how many of its layers an engine took from its own."""
    if isinstance(engine, EmbeddedEngine):
        reference = reference_of(reader.image.reference)
        progress.what = "Loading the image"
        identifier = import_image(engine.store, reader, reference, progress)
        return Loaded(identifier, "" if reference is None else str(reference)), 0
    if not isinstance(engine, DockerEngine):
        raise UsageError(f"{engine.name} cannot load images.", "Name another engine.")
    layers = [layer.diff_id for layer in reader.image.layers]
    there = best_base(engine, layers)[1] if engine.takes_parts else 0
    with packed(reader, progress, omitted=there) as image:
        return _loaded(engine, image, reader.image.reference, progress), there


def send(engine: DockerEngine, image: PackedImage, progress: Progress) -> None:
    """Gives an engine an image to load."""
    progress.what, progress.done, progress.total = "Loading the image", 0, image.size
    stream = load(engine, archive_pieces([image], docker=True, advance=progress.advance))
    with closing(stream):
        loaded(stream.messages(), engine.name)


def reference_of(name: str) -> Reference | None:
    """The reference that a name in an archive is; None if it is none, or has no tag."""
    reference = None
    with suppress(ValueError):
        reference = parse_reference(name)
    return None if reference is None or reference.tag is None else reference
