"""Targets of pulls by layerscope's client: files, and the embedded store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from layerscope.engines.address import EMBEDDED
from layerscope.engines.embedded.importing import Importer
from layerscope.engines.embedded.store import Store
from layerscope.engines.engine import Engine
from layerscope.errors import EngineError
from layerscope.images.archives.writing import (
    Blob,
    PackedImage,
    holds,
    is_layout,
    named,
    write_archive,
    write_layout,
)
from layerscope.images.image import Image
from layerscope.images.layer_stream import tar_reader
from layerscope.images.registry.client import Check
from layerscope.jobs.worker import Cancellation
from layerscope.oci.manifest import MAX_DOCUMENT, Descriptor
from layerscope.oci.reference import Reference, parse_reference
from layerscope.text import short_id
from layerscope.transfer.places import Place, Target, check_place, parse_place


class FileTarget(Target):
    def __init__(self, place: Place, cancellation: Cancellation) -> None:
        self.name = str(place)
        self._place = place
        self._cancellation = cancellation
        self._images: list[PackedImage] = []
        check_place(place)

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        if self._place.form != "oci" or not is_layout(self._place.path):
            return super().lacks(image, layers, check)
        return tuple(not holds(self._place.path, layer, check) for layer in layers)

    def put(self, image: PackedImage, reference: Reference | None) -> str:
        ref = self._place.ref
        if not ref:
            image = named(image, reference)
        elif self._place.form == "docker-archive":
            image = named(image, parse_reference(ref))
        else:
            image = named(image, None, ref)
        self._images.append(image)
        return image.config.digest

    def finish(self) -> str:
        path, form = self._place.path, self._place.form

        def advance(_: int) -> None:
            self._cancellation.check()

        if form == "oci":
            write_layout(path, self._images, advance=advance)
        else:
            write_archive(path, self._images, docker=form == "docker-archive", advance=advance)
        return self.name


class StoreTarget(Target):
    """The embedded store, which keeps layers uncompressed, by diff_id."""

    name = f"{EMBEDDED}:"  # Followed by the last image, as a source.
    unpacks = True

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._wanted: set[str] = set()  # The diff_ids of an image's layers.
        self._stack = ExitStack()
        self._importer = self._stack.enter_context(Importer(Store()))

    def whole_index(self) -> bool:
        return True  # So that the pulled digest remains known.

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        self._wanted = {layer.diff_id for layer in image.layers}
        return tuple(not self._importer.has(layer.diff_id) for layer in image.layers)

    def unpack(self, layer: Blob, source: str, check: Check) -> None:
        with layer.opened() as read:

            def checked(size: int) -> bytes:
                check()
                return read(size)

            tar = tar_reader(checked, source, layer.digest)
            self._importer.add_layer(tar, self._wanted)

    def put(self, image: PackedImage, reference: Reference) -> str:
        blobs = {blob.digest: blob for blob in image.blobs}
        with blobs[image.config.digest].opened() as read:
            document = b"".join(iter(partial(read, MAX_DOCUMENT), b""))
        pulled = f"{reference.repository}@{image.top.digest}"
        name = parse_reference(self._ref) if self._ref else reference
        # As with `docker pull`, a digest moves no tag.
        named = None if name.tag is None else replace(name, digest=None)
        found = self._importer.finish(document, named, f"docker://{reference}", pulled)
        self.name = f"{EMBEDDED}:{named or short_id(found)}"
        return found

    def finish(self) -> str:
        return self.name

    def close(self) -> None:
        self._stack.close()


def target_of(text: str, engine: Engine | None, cancellation: Cancellation) -> Target:
    """Returns the target of a name, by default the engine. Raises LayerscopeError."""
    place = parse_place(text) if text else None
    if place is not None and place.form != EMBEDDED:
        return FileTarget(place, cancellation)
    if place is not None or (engine is not None and engine.own_store):
        return StoreTarget(place.ref if place is not None else "")
    # Not at the top: other targets do not need the engine's client.
    from layerscope.engines.docker import DockerEngine
    from layerscope.transfer.engine_target import EngineTarget

    if not isinstance(engine, DockerEngine):
        raise EngineError("There is no engine that could load the image.", "Name a target: --to.")
    return EngineTarget(engine, cancellation)
