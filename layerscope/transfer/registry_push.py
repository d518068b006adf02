"""A push by layerscope's client: blobs in parallel, then configs, then manifests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from layerscope.errors import failures_ignored
from layerscope.images.archives.packing import spooled
from layerscope.images.archives.unpacking import read_blob
from layerscope.images.archives.writing import Blob, PackedImage, Read
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.layer_stream import plain_reader
from layerscope.images.platforms import wanted_platform
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.known_blobs import KnownBlobs
from layerscope.images.registry.manifests import ImageFinder
from layerscope.images.registry.tags import listed_tags
from layerscope.images.registry.uploading import (
    BlobUpload,
    State,
    check_digest,
    has_blob,
    put_manifest,
)
from layerscope.jobs.worker import Cancellation
from layerscope.oci.byte_source import FileRange, reader_of_pieces, whole_reader
from layerscope.oci.compression import gzipped
from layerscope.oci.manifest import (
    DOCKER_LAYERS,
    INDEX_TYPES,
    MAX_DOCUMENT,
    OCI_LAYERS,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    describe,
    json_bytes,
    parse_index,
    parse_manifest,
)
from layerscope.oci.reference import Reference
from layerscope.records import go_json, text_of
from layerscope.text import short_id
from layerscope.transfer.named_images import check_unmoved
from layerscope.transfer.parallel import in_parallel
from layerscope.transfer.push_sources import copy_all
from layerscope.transfer.recorder import Recorder, row_of
from layerscope.transfer.registry_pull import PATIENCE
from layerscope.transfer.request import TransferRequest

#: Media types of compressed layers, by the uncompressed one.
_COMPRESSED = {
    OCI_LAYERS[None]: OCI_LAYERS["gzip"],
    DOCKER_LAYERS[None]: DOCKER_LAYERS["gzip"],
}
#: The most repositories to try to mount blobs from in one push.
_MOST_MOUNTS = 8


@dataclass(frozen=True, slots=True)
class _Document:
    """A manifest of the image."""

    descriptor: Descriptor
    data: bytes
    manifest: Manifest


def push_by_registry(
    image: PackedImage,
    reference: Reference,
    request: TransferRequest,
    recorder: Recorder,
    cancellation: Cancellation,
) -> str:
    """Pushes an image under a name with a tag, and returns its id.

    On failure, raises LayerscopeError and leaves the tag unchanged.
    """
    known = KnownBlobs()
    layers = {each.digest: each for each in _layers(image)}
    mounts: dict[str, None] = {}
    for digest in layers:
        noted = known.compressed(digest) or (digest, 0)
        mounts |= dict.fromkeys(known.repositories(reference.domain, noted[0]))
    mounts.pop(reference.path, None)
    client = RegistryClient(
        reference.domain,
        reference.path,
        patience=PATIENCE,
        insecure=request.insecure,
        push=True,
        mounts=list(mounts)[:_MOST_MOUNTS],
    )
    with closing(client), ExitStack() as stack:
        push = _Push(client, image, reference, request.seen, recorder, cancellation, known, stack)
        return push.run(layers)


def layers_there(
    client: RegistryClient, image: PackedImage, reference: Reference
) -> dict[str, bool]:
    """Returns whether a repository has each layer; omits layers never compressed here."""
    known = KnownBlobs()
    found: dict[str, bool] = {}
    layers = {layer.digest: layer for layer in _layers(image)}
    stored = _compressed_there(client, reference, layers, known, no_check)
    for layer in layers.values():
        digest: str | None = layer.digest
        if layer.digest in stored:
            digest = stored[layer.digest].digest
        elif layer.media_type in _COMPRESSED:
            noted = known.compressed(layer.digest)
            digest = noted[0] if noted else None
        found[layer.digest] = digest is not None and has_blob(client, digest)
    return found


def _compressed_there(
    client: RegistryClient,
    reference: Reference,
    layers: Mapping[str, Descriptor],
    known: KnownBlobs,
    check: Check,
) -> dict[str, Descriptor]:
    """Returns layers in the repository that another client compressed, by diff_id.

    They are from the image with this tag, or else with the highest tag.
    """
    unknown = {
        digest
        for digest, layer in layers.items()
        if layer.media_type in _COMPRESSED and known.compressed(digest) is None
    }
    found: dict[str, Descriptor] = {}
    if not unknown:
        return found
    # An optimization only.
    with failures_ignored():
        tag = reference.tag or ""
        if client.manifest_digest(tag, check) is None:
            tag = next(iter(listed_tags(client, check)), "")
        there = replace(reference, tag=tag, digest=None)
        platform = wanted_platform(None)
        image = ImageFinder(client, there, platform, check, DocumentCache()).find()
        for layer, stored in zip(image.image.layers, image.manifest.layers, strict=True):
            if layer.diff_id in unknown and stored.media_type in _COMPRESSED.values():
                found[layer.diff_id] = stored
    return found


def _layers(image: PackedImage) -> Iterator[Descriptor]:
    """Yields the layers of all present manifests."""
    here = {blob.digest for blob in image.blobs}
    for document in _documents(image):
        yield from (each for each in document.manifest.layers if each.digest in here)


def _documents(image: PackedImage) -> Iterator[_Document]:
    blobs = {blob.digest: blob for blob in image.blobs}
    pending = [image.top]
    while pending:
        descriptor = pending.pop(0)
        data = read_blob(blobs[descriptor.digest], MAX_DOCUMENT)
        if descriptor.media_type in INDEX_TYPES:
            pending += parse_index(go_json(data))
        else:
            yield _Document(descriptor, data, parse_manifest(go_json(data)))


class _Push:
    def __init__(
        self,
        client: RegistryClient,
        image: PackedImage,
        reference: Reference,
        seen: str | None,
        recorder: Recorder,
        cancellation: Cancellation,
        known: KnownBlobs,
        stack: ExitStack,
    ) -> None:
        self._client = client
        self._image = image
        self._blobs = {blob.digest: blob for blob in image.blobs}
        self._reference = reference
        self._seen = seen
        self._tag = reference.tag or ""
        self._recorder = recorder
        self._cancellation = cancellation
        self._known = known
        self._stack = stack  # Owns the files of compressed layers.
        self._there: dict[str, Descriptor] = {}

    def run(self, layers: Mapping[str, Descriptor]) -> str:
        check = self._cancellation.check
        before = self._client.manifest_digest(self._tag, check) or ""
        if self._seen is not None:
            check_unmoved(self._reference, self._seen, before)
        for digest in layers:
            self._recorder.layer(row_of(digest), "waiting")
        self._there = _compressed_there(self._client, self._reference, layers, self._known, check)
        pushed = in_parallel([self._task(each) for each in layers.values()], self._cancellation)
        final = dict(zip(layers, pushed, strict=True))
        documents = list(_documents(self._image))
        for digest in {each.manifest.config.digest for each in documents}:
            self._put_blob(self._blobs[digest], "the configuration", None, check)
        renamed: dict[str, Descriptor] = {}
        for each in documents:
            data = _with_layers(each, final)
            kind = text_of(go_json(data), "mediaType") or each.descriptor.media_type
            descriptor = describe(data, kind or OCI_MANIFEST)
            renamed[each.descriptor.digest] = descriptor
            if each.descriptor.digest == self._image.top.digest:
                return self._name(descriptor.media_type, data, before)
            put_manifest(self._client, descriptor.digest, descriptor.media_type, data, check)
        index = read_blob(self._blobs[self._image.top.digest], MAX_DOCUMENT)
        index = _with_manifests(index, renamed)
        return self._name(self._image.top.media_type, index, before)

    def _name(self, media_type: str, data: bytes, before: str) -> str:
        """Pushes the manifest under its tag, unless the tag has moved meanwhile."""
        check = self._cancellation.check
        now = self._client.manifest_digest(self._tag, check)
        check_unmoved(self._reference, before, now)
        put_manifest(self._client, self._tag, media_type, data, check)
        self._recorder.digest = describe(data, media_type).digest
        return self._image.config.digest

    def _task(self, layer: Descriptor) -> Callable[[Check], Descriptor]:
        def push(check: Check) -> Descriptor:
            final, blob = layer, self._blobs[layer.digest]
            there = self._there.get(layer.digest)
            if there is not None and has_blob(self._client, there.digest, check):
                self._recorder.layer(row_of(layer.digest), "exists")
                kind = _COMPRESSED[layer.media_type]
                return replace(layer, media_type=kind, digest=there.digest, size=there.size)
            if layer.media_type in _COMPRESSED:
                blob = self._compressed(layer, blob, check)
                kind = _COMPRESSED[layer.media_type]
                final = replace(layer, media_type=kind, digest=blob.digest, size=blob.size)
            self._put_blob(blob, f"layer {short_id(layer.digest)}", row_of(layer.digest), check)
            return final

        return push

    def _put_blob(self, blob: Blob, what: str, row: str | None, check: Check) -> None:
        def report(state: State, current: int, text: str) -> None:
            if row is not None:
                self._recorder.layer(row, state, current or None, blob.size, text or None)

        domain, path = self._client.domain, self._client.repository
        mounts = [x for x in self._known.repositories(domain, blob.digest) if x != path]
        BlobUpload(self._client, blob, what, report, mounts=mounts, check=check).run()
        self._known.seen(domain, path, blob.digest)

    def _compressed(self, layer: Descriptor, blob: Blob, check: Check) -> Blob:
        """Returns the compressed layer; if its digest is known, compresses it only when read."""
        noted = self._known.compressed(layer.digest)
        made: list[Blob] = []

        @contextmanager
        def opened(start: int) -> Iterator[Read]:
            if not made:
                made.append(self._compress(layer, blob, check))
            with made[0].open_at(start) as read:
                yield read

        return Blob(*noted, opened) if noted else self._compress(layer, blob, check)

    def _compress(self, layer: Descriptor, blob: Blob, check: Check) -> Blob:
        file = self._stack.enter_context(spooled())
        digest, stored = hashlib.sha256(), hashlib.new(layer.digest.partition(":")[0])
        with blob.opened() as read:

            def hashing(most: int) -> bytes:
                piece = read(most)
                stored.update(piece)
                return piece

            pieces = gzipped(plain_reader(hashing))
            size = copy_all(reader_of_pieces(pieces), file, check, digest.update)
        check_digest(f"layer {short_id(layer.digest)}", layer.digest, stored)
        found = f"sha256:{digest.hexdigest()}"
        self._known.compresses_to(layer.digest, found, size)

        @contextmanager
        def opened(start: int) -> Iterator[Read]:
            yield whole_reader(FileRange(file.fileno(), 0, size), size, start)

        return Blob(found, size, opened)


def _with_layers(document: _Document, final: Mapping[str, Descriptor]) -> bytes:
    """Returns a manifest with the pushed layers; the same bytes if they did not change."""
    content: dict[str, Any] = go_json(document.data)
    changed = False
    for entry in content["layers"]:
        pushed = final.get(entry["digest"])
        if pushed is not None and pushed.digest != entry["digest"]:
            entry |= {
                "mediaType": pushed.media_type, "digest": pushed.digest, "size": pushed.size
            }  # fmt: skip
            changed = True
    return json_bytes(content) if changed else document.data


def _with_manifests(index: bytes, renamed: Mapping[str, Descriptor]) -> bytes:
    content: dict[str, Any] = go_json(index)
    changed = False
    for entry in content["manifests"]:
        pushed = renamed[entry["digest"]]
        if pushed.digest != entry["digest"]:
            entry |= {"digest": pushed.digest, "size": pushed.size}
            changed = True
    return json_bytes(content) if changed else index
