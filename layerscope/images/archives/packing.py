"""Packs an image from any place with readable layers, to save or load it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, Any

from layerscope.config import cache_folder
from layerscope.errors import BadInputError, LayerscopeError
from layerscope.images.archives.writing import Blob, PackedImage
from layerscope.images.image import Image, missing_text
from layerscope.images.progress import Progress
from layerscope.images.reader import LayerTars
from layerscope.oci.compression import gzipped, zstandard_of
from layerscope.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYERS,
    OCI_MANIFEST,
    Descriptor,
    describe,
    image_manifest,
    json_bytes,
)
from layerscope.text import visible
from layerscope.writing import failure

Read = Callable[[int], bytes]
#: Receives a layer's diff_id, and the number of its bytes read so far.
OnLayer = Callable[[str, int], object]
_PIECE = 1 << 20
_HINT = "Make room there, or set XDG_CACHE_HOME to another folder."


@contextmanager
def packed(
    reader: LayerTars,
    progress: Progress,
    compression: str | None = None,
    layers: int | None = None,
    omitted: int = 0,
    below: LayerTars | None = None,
    on_layer: OnLayer = lambda *_: None,
) -> Iterator[PackedImage]:
    """An image with its layers in unnamed files, which exist while the block runs.

    `compression` is `gzip`, `zstd`, or None for none. The configuration, and so the image's id,
    does not change, unless `layers` limits the image to its lowest layers. The manifest lists all
    layers, including the lowest `omitted` ones, which have no blob and may be missing. Other
    missing layers come from the image `below`. `on_layer` receives the diff_id of the layer being
    read, empty while unknown, and the number of its bytes read so far.

    Raises LayerscopeError if a layer is missing or differs from the configuration, or the disk is
    full.
    """
    missing = {layer.diff_id for layer in reader.image.missing if layer.index >= omitted}
    if missing and below is None:
        raise LayerscopeError(f"{missing_text(reader.image)} It cannot be copied without them.")
    without = {layer.diff_id for layer in reader.image.layers[:omitted]}
    found: dict[str, tuple[Descriptor, Blob | None]] = {
        layer.diff_id: (_plain(layer.diff_id, layer.stored_size or 0), None)
        for layer in reader.image.missing
        if layer.index < omitted
    }
    wanted = {layer.diff_id for layer in reader.image.layers[:layers]} - found.keys() - missing
    for diff_id, size in reader.tar_sizes(progress, wanted & without).items():
        found[diff_id] = _plain(diff_id, size), None
    wanted -= found.keys()
    with ExitStack() as files:
        places = [(reader, wanted)] if wanted or not reader.image.document else []
        if missing and below is not None:
            places.append((below, missing))
        for place, those in places:
            for meant, read in place.tars(progress, those):
                file, before = files.enter_context(spooled()), progress.done
                report = partial(on_layer, meant)
                diff_id, descriptor, blob = copied(read, file, compression, progress, report)
                found[diff_id] = descriptor, blob
                if diff_id in without:
                    found[diff_id] = _plain(diff_id, progress.done - before), None
                    file.close()
        image = reader.image
        kept = image.layers[:layers]
        for layer in kept:
            if layer.diff_id not in found:
                problem = f"layer {layer.index} is not the one that the configuration names"
                raise BadInputError(visible(image.source), None, problem)
        document = image.document if layers is None else lowest(image, layers)
        yield _image(document, image, [found[layer.diff_id] for layer in kept])


def on_demand(reader: LayerTars, progress: Progress) -> PackedImage:
    """An image whose layers are read from their start whenever their blobs are opened.

    The caller must verify the layers. Their sizes are unknown.
    """
    if not reader.image.document:
        for _ in reader.tars(progress, ()):
            pass
    image = reader.image

    def blob(diff_id: str) -> Blob:
        @contextmanager
        def opened(start: int) -> Iterator[Read]:
            assert not start  # noqa: S101
            found = False
            for name, read in reader.tars(progress, {diff_id}):
                if name == diff_id and not found:
                    found = True
                    yield read
            if not found:
                raise BadInputError(visible(image.source), None, "a layer is missing")

        return Blob(diff_id, 0, opened)

    layers = [(_plain(layer.diff_id, 0), blob(layer.diff_id)) for layer in image.layers]
    return _image(image.document, image, layers)


def bare(image: Image, layers: int) -> PackedImage:
    """The lowest layers of an image as an image of its own, without their content.

    Only an engine that has unpacked these layers can load it.
    """
    kept = image.layers[:layers]
    return _image(
        lowest(image, layers), image, [(_plain(layer.diff_id, 0), None) for layer in kept]
    )


def _plain(diff_id: str, size: int) -> Descriptor:
    """The descriptor of a layer stored as its tar."""
    return Descriptor(OCI_LAYERS[None], diff_id, size, {})


def lowest(image: Image, layers: int) -> bytes:
    """The configuration of an image with only the lowest layers of another."""
    document: dict[str, Any] = json.loads(image.document)
    document["rootfs"] = {
        "type": "layers",
        "diff_ids": [layer.diff_id for layer in image.layers[:layers]],
    }
    history: Sequence[Mapping[str, Any]] = document.get("history") or ()
    kept, seen = [], 0
    for entry in history:
        seen += not entry.get("empty_layer")
        if seen > layers:
            break
        kept.append(entry)
    if history:
        document["history"] = kept
    return json_bytes(document)


def _image(
    document: bytes, image: Image, layers: Sequence[tuple[Descriptor, Blob | None]]
) -> PackedImage:
    config = describe(document, OCI_CONFIG)
    descriptors = tuple(descriptor for descriptor, _ in layers)
    manifest = image_manifest(config, descriptors)
    platform = f"{image.os}/{image.architecture}" if image.os and image.architecture else None
    top = describe(manifest, OCI_MANIFEST, platform)
    blobs = [Blob.of(top, manifest), Blob.of(config, document)]
    blobs += [blob for _, blob in layers if blob is not None]
    return PackedImage(top, tuple(blobs), config, descriptors)


@contextmanager
def spooled() -> Iterator[IO[bytes]]:
    """An unnamed file, which disappears however the process ends."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as error:
        raise LayerscopeError(failure(error, str(folder)), _HINT) from None
    with file:
        yield file


def copied(
    read: Read,
    file: IO[bytes],
    compression: str | None,
    progress: Progress,
    report: Callable[[int], object] = lambda _: None,
) -> tuple[str, Descriptor, Blob]:
    """Copies a layer's tar to a file; returns its diff_id, the descriptor and the blob."""
    plain, stored, size, before = hashlib.sha256(), hashlib.sha256(), 0, progress.done

    def watched(most: int) -> bytes:
        piece = read(most)
        plain.update(piece)
        progress.advance(progress.done + len(piece))
        report(progress.done - before)
        return piece

    def pieces() -> Iterator[bytes]:
        if compression == "gzip":
            yield from gzipped(watched)
        elif compression == "zstd":
            yield from zstandard_of(watched)
        else:
            while piece := watched(_PIECE):
                yield piece

    try:
        for piece in pieces():
            file.write(piece)
            stored.update(piece)
            size += len(piece)
        file.flush()
    except OSError as error:
        raise LayerscopeError(failure(error, str(cache_folder())), _HINT) from None
    digest = f"sha256:{stored.hexdigest()}"

    @contextmanager
    def opened(start: int) -> Iterator[Read]:
        place = start

        def read_on(most: int) -> bytes:
            nonlocal place
            piece = os.pread(file.fileno(), most, place)
            place += len(piece)
            return piece

        yield read_on

    blob = Blob(digest, size, opened)
    layer = Descriptor(OCI_LAYERS[compression], digest, size, {})
    return f"sha256:{plain.hexdigest()}", layer, blob
