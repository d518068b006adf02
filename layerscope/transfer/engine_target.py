"""A pull by layerscope's client into an engine, which loads the image."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

from layerscope.engines.docker import DockerEngine
from layerscope.engines.local_layers import local_layers
from layerscope.engines.transfers import load, loaded, loaded_name
from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.archives.writing import Advance, PackedImage, archive_pieces, named
from layerscope.images.image import Image
from layerscope.images.registry.client import Check
from layerscope.images.registry.pull_estimate import pull_estimate
from layerscope.jobs.worker import Cancellation
from layerscope.oci.manifest import Descriptor
from layerscope.oci.reference import Reference
from layerscope.transfer.places import Target


class EngineTarget(Target):
    def __init__(self, engine: DockerEngine, cancellation: Cancellation) -> None:
        self.name = engine.name
        self._engine = engine
        self._cancellation = cancellation

    def whole_index(self) -> bool:
        return self._engine.keeps_blobs

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        if not self._engine.takes_parts:
            return super().lacks(image, layers, check)
        known = [(layer.diff_id, layer.stored_size or 0) for layer in image.layers]
        estimate = pull_estimate(known, local_layers(self._engine).images)
        return tuple(not present for present in estimate.present)

    def put(self, image: PackedImage, reference: Reference) -> str:
        # As with `docker pull`, a digest moves no tag.
        image = named(image, None if reference.digest else reference)
        engine = self._engine

        def advance(_: int) -> None:
            self._cancellation.check()

        send(engine, image, advance, self._cancellation)
        name = image.tags[0] if image.tags else loaded_name(engine, image)
        return self._cancellation.ask(lambda: engine.inspect(name).id)


def send(
    engine: DockerEngine, image: PackedImage, advance: Advance, cancellation: Cancellation
) -> None:
    """Loads an image into an engine. Raises LayerscopeError if the engine rejects it."""
    sent = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield from archive_pieces([image], docker=True, advance=advance)
        sent.set()

    try:
        stream = cancellation.ask(lambda: load(engine, pieces()))
        cancellation.on_cancel(stream.stop)
        with closing(stream):
            loaded(stream.messages(), engine.name)
        cancellation.check()
    except LayerscopeError:
        if not cancellation.wanted:
            raise
        about = (
            "has all of the image and may still load it"
            if sent.is_set()
            else "keeps no part of the image"
        )
        raise Cancelled(f"{engine.name} {about}.") from None
