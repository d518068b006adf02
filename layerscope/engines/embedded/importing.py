"""Brings images into the embedded store, from every place that they can be read from."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.engines.embedded.contents import PULLED, give_name
from layerscope.engines.embedded.store import Lease, Read, Store
from layerscope.errors import BadInputError, LayerscopeError
from layerscope.images.image import Image, missing_text
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYERS,
    OCI_MANIFEST,
    Descriptor,
    describe,
    image_manifest,
)
from layerscope.oci.reference import Reference
from layerscope.text import visible

#: Receives a layer's diff_id, its bytes so far, and its size once all of them are there.
OnLayer = Callable[[str, int, int | None], object]


def import_image(
    store: Store,
    reader: ImageReader,
    reference: Reference | None,
    progress: Progress,
    on_layer: OnLayer = lambda *_: None,
    pulled: str = "",
) -> str:
    """Adds an image under a name, or none, and returns its id: the digest of its configuration.

    Layers that the store has are not read. A layer counts if its digest is the diff_id that the
    configuration names, so what arrives is what was meant. `pulled` is `NAME@DIGEST` in its
    registry.

    Raises LayerscopeError if the image is incomplete or damaged, or there is no room; layers that
    were complete stay, for the next attempt.
    """
    image = reader.image
    if image.missing:
        raise LayerscopeError(f"{missing_text(image)} It cannot be copied without them.")
    with store.lease() as lease:
        sizes = _import_layers(lease, reader, progress, on_layer)
        image = reader.image
        config = describe(_document(image), OCI_CONFIG)
        layers = [
            Descriptor(OCI_LAYERS[None], layer.diff_id, sizes[layer.diff_id], {})
            for layer in image.layers
        ]
        data = image_manifest(config, layers)
        lease.add_document(image.document, config)
        manifest = lease.add_document(data, describe(data, OCI_MANIFEST, _platform(image)))
        entry = manifest.document
        if pulled:
            entry["annotations"] = {PULLED: pulled}
        with store.changed() as change:
            give_name(change.entries, entry, reference)
    return config.digest


def _import_layers(
    lease: Lease, reader: ImageReader, progress: Progress, on_layer: OnLayer
) -> dict[str, int]:
    """Adds the layers that are not there; returns the sizes of all of them by diff_id."""
    layers = reader.image.layers
    sizes: dict[str, int] = {}
    for layer in layers:
        size = lease.claim(layer.diff_id)
        if size is not None and layer.diff_id not in sizes:
            on_layer(layer.diff_id, size, size)
            sizes[layer.diff_id] = size
    wanted = {layer.diff_id for layer in layers} - sizes.keys()
    # Some places know the configuration only once all has been read.
    if wanted or not reader.image.document:
        for read in reader.tars(progress, wanted):
            digest, size = lease.add(_watched(read, progress), wanted)
            if digest in wanted:
                on_layer(digest, size, size)
                sizes[digest] = size
    for layer in layers:
        if layer.diff_id not in sizes:
            problem = f"layer {layer.index} is not the one that the configuration names"
            raise BadInputError(
                visible(reader.image.source), None, f"{problem}, {visible(layer.diff_id)}"
            )
    return sizes


def _watched(read: Read, progress: Progress) -> Read:
    def watched(size: int) -> bytes:
        piece = read(size)
        progress.advance(progress.done + len(piece))
        return piece

    return watched


def _document(image: Image) -> bytes:
    if not image.document:
        problem = "it does not hold the image's configuration"
        raise BadInputError(visible(image.source), None, problem, "Save the image, and load that.")
    return image.document


def _platform(image: Image) -> str | None:
    return f"{image.os}/{image.architecture}" if image.os and image.architecture else None
