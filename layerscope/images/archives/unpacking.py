"""Images in archives and layouts as blobs, to push them or write them elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from layerscope.errors import SAVE_AGAIN, BadInputError
from layerscope.images.archives.archive import SavedStore
from layerscope.images.archives.archive_file import ArchiveFile
from layerscope.images.archives.blob_store import (
    INDEX,
    MANIFEST,
    BlobStore,
    FolderStore,
    blob_file,
    load_json,
)
from layerscope.images.archives.oci_layout import Layout, name_of
from layerscope.images.archives.save_format import saved_parts
from layerscope.images.archives.writing import Blob, PackedImage, Read
from layerscope.oci.byte_source import whole_reader
from layerscope.oci.compression import compression_of
from layerscope.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYERS,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    OCI_INDEX,
    OCI_LAYERS,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    describe,
    image_manifest,
    json_bytes,
    parse_index,
    parse_manifest,
)
from layerscope.records import text_of
from layerscope.text import visible


def unpacked(
    store: FolderStore | ArchiveFile, wanted: str | None, source: str
) -> tuple[PackedImage, str]:
    """An image of an archive or a layout, for all its platforms, and its name there, if any.

    The store must stay open while blobs are read. Raises LayerscopeError if there is no such
    image or it is incomplete.
    """
    if store.holds(INDEX):
        return _of_layout(Layout(store, source), store, wanted)
    return _of_saved(store, wanted, source)


def _of_layout(layout: Layout, store: BlobStore, wanted: str | None) -> tuple[PackedImage, str]:
    tops = layout.tops(wanted)
    documents: dict[str, bytes] = {}
    manifests: list[Manifest] = []
    top = tops[0]
    if len(tops) > 1:
        # One image for each platform, without a common index.
        data = json_bytes(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [replace(each, annotations={}).document for each in tops],
            }
        )
        top = replace(describe(data, OCI_INDEX), annotations=tops[0].annotations)
        documents[top.digest] = data
        inner = tops
    elif top.media_type in INDEX_TYPES:
        data = layout.verified(top)
        documents[top.digest] = data
        inner = parse_index(load_json(layout.name, top.digest, data))
        here = [each for each in inner if layout.has(each)]
        if len(here) < len(inner):
            # Only some platforms are present, as after a pull by containerd.
            top, data = _index_of(layout.name, top, data, here)
            documents = {} if len(here) == 1 else {top.digest: data}
        inner = here
    else:
        inner = [top]
    if not inner:
        raise BadInputError(layout.name, None, "it has no image of its index", SAVE_AGAIN)
    for each in inner:
        data = layout.verified(each)
        documents[each.digest] = data
        manifests.append(_manifest(layout.name, each, data))
    if len(inner) == 1 and top.digest not in documents:
        top = replace(inner[0], annotations=top.annotations, platform=None)
    media_type = text_of(load_json(layout.name, top.digest, documents[top.digest]), "mediaType")
    top = replace(top, media_type=media_type or top.media_type or OCI_MANIFEST)
    blobs = [Blob.of(Descriptor("", key, len(data), {}), data) for key, data in documents.items()]
    for manifest in manifests:
        blobs += _parts(layout, store, manifest)
    return PackedImage(top, tuple(blobs), manifests[0].config, manifests[0].layers), name_of(
        tops[0]
    )


def _index_of(
    file: str, top: Descriptor, data: bytes, here: Sequence[Descriptor]
) -> tuple[Descriptor, bytes]:
    """An index reduced to the entries that are present."""
    document = load_json(file, top.digest, data)
    digests = {each.digest for each in here}
    document["manifests"] = [e for e in document["manifests"] if e.get("digest") in digests]
    data = json_bytes(document)
    return replace(describe(data, top.media_type), annotations=top.annotations), data


def _manifest(file: str, descriptor: Descriptor, data: bytes) -> Manifest:
    if descriptor.media_type in INDEX_TYPES:
        raise BadInputError(file, None, "its index names another index, which cannot be copied yet")
    try:
        return parse_manifest(load_json(file, descriptor.digest, data))
    except ValueError as error:
        raise BadInputError(file, None, str(error)) from None


def _parts(layout: Layout, store: BlobStore, manifest: Manifest) -> Iterator[Blob]:
    for part in (manifest.config, *manifest.layers):
        name = blob_file(layout.name, part.digest)
        if store.holds(name):
            yield _blob(store, name, part.digest, part.size)
        elif not part.foreign:
            problem = f"it is incomplete: it has no {visible(part.digest)}"
            raise BadInputError(layout.name, None, problem, SAVE_AGAIN)


def _blob(store: BlobStore, name: str, digest: str, size: int) -> Blob:
    @contextmanager
    def opened(start: int) -> Iterator[Read]:
        with store.opened(name) as (source, length, _):
            yield whole_reader(source, length, start)

    return Blob(digest, size, opened)


def _of_saved(
    store: FolderStore | ArchiveFile, wanted: str | None, source: str
) -> tuple[PackedImage, str]:
    """An image saved by Docker before 25 or by Podman, which has no manifest yet."""
    if not store.holds(MANIFEST):
        problem = f"it has neither {INDEX} nor {MANIFEST}"
        raise BadInputError(store.file, None, problem, "Save the image with a newer Docker.")
    saved, data, diff_ids, names = saved_parts(SavedStore(store), wanted, source)
    config = describe(data, DOCKER_CONFIG)
    layers, blobs = [], []
    for diff_id, name in zip(diff_ids, names, strict=True):
        with store.opened(name) as (content, size, _):
            kind = compression_of(content.window(0)[:6])
            digest = diff_id
            if kind is not None:
                digest = f"sha256:{content.sha256(0, size).hex()}"
        media_type = DOCKER_LAYERS.get(kind) or OCI_LAYERS.get(kind) or OCI_LAYERS[None]
        layers.append(Descriptor(media_type, digest, size, {}))
        blobs.append(_blob(store, name, digest, size))
    manifest = image_manifest(config, layers)
    top = describe(manifest, DOCKER_MANIFEST)
    documents = (Blob.of(top, manifest), Blob.of(config, data))
    image = PackedImage(top, (*documents, *blobs), config, tuple(layers))
    return image, next(iter(saved.tags), "")


def read_blob(blob: Blob, most: int) -> bytes:
    """A document, verified by its digest; raises BadInputError."""
    pieces = []
    left = most + 1
    with blob.opened() as read:
        while left > 0 and (piece := read(left)):
            pieces.append(piece)
            left -= len(piece)
    data = b"".join(pieces)
    algorithm, _, expected = blob.digest.partition(":")
    if left <= 0 or hashlib.new(algorithm, data).hexdigest() != expected:
        raise BadInputError(visible(blob.digest), None, "it is damaged", SAVE_AGAIN)
    return data
