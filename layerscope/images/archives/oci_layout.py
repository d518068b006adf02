"""`oci:` and `oci-archive:`: an image in an OCI image layout (image-layout.md).

`index.json` lists images by reference; each is a manifest, or an index with a manifest for each
platform, and indexes may be nested. Attestations, signatures and other artifacts are skipped. A
layer without its blob, because it is foreign or the copy is partial, is shown as missing; a damaged
one is an error.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from layerscope.errors import (
    SAVE_AGAIN,
    AmbiguousError,
    BadInputError,
    NotFoundError,
    closed_on_error,
)
from layerscope.images.archives.blob_store import (
    INDEX,
    BlobStore,
    blob_file,
    load_json,
    read_document,
)
from layerscope.images.archives.save_format import same_reference
from layerscope.images.archives.stored_layers import StoredLayer, StoredLayersReader
from layerscope.images.image import with_missing
from layerscope.images.layer_stream import Digests
from layerscope.images.manifests import MAX_INDEXES, ManifestPlace
from layerscope.images.platforms import wanted_platform
from layerscope.oci.distribution import is_digest
from layerscope.oci.manifest import FOREIGN, INDEX_TYPES, Descriptor, ManifestError, parse_index
from layerscope.oci.platform import image_candidates
from layerscope.text import not_expected, visible

#: The annotations that hold a reference: containerd's is complete, the specification's may not be.
FULL_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
_NAMES = (FULL_NAME, REF_NAME)


class Layout(ManifestPlace):
    """The images of a layout; `source` is the part of hints after `oci:` or `oci-archive:`."""

    def __init__(self, store: BlobStore, source: str) -> None:
        self._store = store
        self._source = source
        self.name = store.file

    def tops(self, wanted: str | None) -> list[Descriptor]:
        """The descriptors that lead to the image: one, or one for each platform."""
        listed = self.descriptors(load_json(self.name, INDEX, read_document(self._store, INDEX)))
        images = list(image_candidates(listed))
        if wanted is not None:
            return self._wanted(wanted, listed, images)
        if len({image.digest for image in images}) > 1:
            images = [image for image in images if not self._artifact(image)]
        if not images:
            raise self.no_image(listed)
        digests = {image.digest for image in images}
        if len(digests) == 1 or _are_one(images):
            # One image, perhaps under several names, or one for each platform.
            return images
        raise AmbiguousError(
            f"{self.name} holds {len(digests)} images.",
            f"Name one: {visible(self._source)}:REF with REF one of {_listed(images)}.",
            _names(images),
        )

    def _wanted(
        self, wanted: str, listed: list[Descriptor], images: list[Descriptor]
    ) -> list[Descriptor]:
        """The descriptors of an image by its name, its digest or both: `NAME@sha256:…`."""
        name, _, digest = wanted.rpartition("@")
        if is_digest(digest):
            among = [each for each in listed if _is_called(each, name)] if name else listed
            found = self._by_digest(digest, among)
        else:
            found = [image for image in images if _is_called(image, wanted)]
            found = found or [each for each in listed if _is_called(each, wanted)]
        if found:
            return found if _are_one(found) else found[:1]
        images = [image for image in images if not self._artifact(image)]
        held = f"It holds {_listed(images)}." if images else "It holds no container image."
        raise NotFoundError(f"{self.name} holds no image {visible(wanted)}.", held)

    def _by_digest(self, digest: str, listed: list[Descriptor]) -> list[Descriptor]:
        """A manifest or index with this digest, in `index.json` or in a nested index."""
        pending = listed
        for _ in range(MAX_INDEXES):
            found = [each for each in pending if each.digest == digest]
            if found or not pending:
                return found[:1]
            indexes = [each for each in pending if each.media_type in INDEX_TYPES]
            pending = [
                inner
                for each in indexes
                if self.has(each)
                for inner in self.descriptors(self.document(each))
            ]
        return []

    def _artifact(self, descriptor: Descriptor) -> bool:
        return descriptor.media_type not in INDEX_TYPES and bool(self.artifact(descriptor))

    def source_of(self, digest: str) -> str:
        return f"{self._source}:{digest}"

    def _present(self, tops: list[Descriptor]) -> list[Descriptor]:
        """The images to choose from: those with their blobs here, if any."""
        found = self.candidates(tops)
        return [each for each in found if self.has(each)] or found

    def has(self, descriptor: Descriptor) -> bool:
        return self._store.holds(blob_file(self.name, descriptor.digest))

    def document(self, descriptor: Descriptor) -> Any:
        return load_json(self.name, descriptor.digest, self.verified(descriptor))

    def bad(self, problem: str) -> BadInputError:
        return BadInputError(self.name, None, problem)

    def verified(self, descriptor: Descriptor) -> bytes:
        """A document, verified by its digest. Verifying layers would mean reading them all."""
        if not self.has(descriptor):
            problem = f"it is incomplete: it has no {visible(descriptor.digest)}"
            raise BadInputError(self.name, None, problem, SAVE_AGAIN)
        data = read_document(self._store, blob_file(self.name, descriptor.digest))
        algorithm, _, digest = descriptor.digest.partition(":")
        if algorithm in ("sha256", "sha512"):
            found = hashlib.new(algorithm, data).hexdigest()
            if found != digest.lower():
                differs = not_expected("digest", descriptor.digest, f"{algorithm}:{found}")
                problem = f"a document is damaged: {differs}"
                raise BadInputError(self.name, None, problem, SAVE_AGAIN)
        return data


class OciLayoutReader(StoredLayersReader, Layout):
    way = "OCI layout"

    def __init__(
        self, store: BlobStore, wanted: str | None, platform: str | None, source: str
    ) -> None:
        """Takes ownership of a layout, and finds the image `wanted` if it holds several.

        Raises LayerscopeError if there is no such image or it cannot be read.
        """
        Layout.__init__(self, store, source)
        if wanted is not None:
            self.image_name = visible(f"{source}:{wanted}")
        with closed_on_error(store.close):
            tops = self.tops(wanted)
            candidates = self._present(tops)
            descriptor = self.descriptor = self.choose(
                candidates, wanted_platform(platform), exact=platform is not None
            )
            self._manifest = self.manifest(self.document(descriptor))
            image = self.image_of(
                self._manifest,
                self.verified(self._manifest.config),
                reference=name_of(tops[0]) or descriptor.digest,
                source=source,
                chosen=descriptor,
                candidates=candidates,
                asked=platform,
            )
            sizes = [layer.size for layer in self._manifest.layers]
            self._layers = [
                StoredLayer(
                    blob_file(self.name, each.digest),
                    each.digest,
                    each.size,
                    Digests(layer.diff_id, each.digest),
                )
                for each, layer in zip(self._manifest.layers, image.layers, strict=True)
            ]
            names = dict.fromkeys(filter(None, map(name_of, tops)))
            self.image = with_missing(replace(image, names=tuple(names)), self._missing(), sizes)

    def _missing(self) -> dict[int, str]:
        """The reasons why layers are missing, by number."""
        found: dict[int, str] = {}
        for index, layer in enumerate(self._manifest.layers):
            if not self._store.holds(self._layers[index].file):
                found[index] = FOREIGN if layer.foreign else "its blob was not copied"
        return found


def holds_platforms(store: BlobStore) -> bool:
    """Whether a layout, or a similar folder, has an image for several platforms."""
    try:
        tops = image_candidates(
            parse_index(load_json(store.file, INDEX, read_document(store, INDEX)))
        )
        # Each index once, no matter how many names it has.
        for digest in dict.fromkeys(top.digest for top in tops if top.media_type in INDEX_TYPES):
            name = blob_file(store.file, digest)
            index = parse_index(load_json(store.file, name, read_document(store, name)))
            if len({inner.platform for inner in image_candidates(index)}) > 1:
                return True
    except (BadInputError, ManifestError):
        # Opening it reports the error, if it matters.
        pass
    return False


def _is_called(image: Descriptor, wanted: str) -> bool:
    names = [image.annotations[key] for key in _NAMES if image.annotations.get(key)]
    return any(wanted == name or same_reference(wanted, name) for name in names)


def _are_one(images: list[Descriptor]) -> bool:
    """Whether descriptors are the same image for different platforms."""
    names = {name_of(image) for image in images}
    return len(names) == 1 and all(image.platform for image in images)


def name_of(image: Descriptor) -> str:
    return next((image.annotations[key] for key in _NAMES if image.annotations.get(key)), "")


def _names(images: list[Descriptor]) -> list[str]:
    return list(dict.fromkeys(name_of(image) or image.digest for image in images))


def _listed(images: list[Descriptor]) -> str:
    return visible(", ".join(_names(images)))
