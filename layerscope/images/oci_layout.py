"""`oci:` and `oci-archive:`: an image in an OCI image layout (image-layout.md).

`index.json` lists images by reference; each is a manifest or an index of one manifest for each
platform, and indexes may be nested. What is about an image and none itself (attestations,
signatures and other referrers) is passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from layerscope.errors import AmbiguousError, BadInputError, NotFoundError, UsageError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.blob_store import BlobStore, read_document
from layerscope.images.content import layer_content
from layerscope.images.image import Image, image_from_config
from layerscope.images.layer_bytes import read_layer
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.images.save_layout import MAX_LAYERS, load_json, read_config, same_reference
from layerscope.oci.manifest import (
    INDEX_TYPES,
    Descriptor,
    Manifest,
    ManifestError,
    parse_index,
    parse_manifest,
)
from layerscope.oci.platform import (
    Platform,
    PlatformError,
    choose,
    host_platform,
    image_candidates,
    parse_platform,
    platform_names,
)
from layerscope.text import short_id, visible

INDEX = "index.json"

#: The annotations that hold a reference: the specification's, and containerd's, which is whole.
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")

#: Indexes within indexes, at most.
_DEEPEST = 8


class OciLayoutReader:
    """An image in an OCI image layout.

    Attributes:
        image: The image.
        way: How it is read.
    """

    way = "OCI layout"

    def __init__(
        self, store: BlobStore, wanted: str | None, platform: str | None, source: str
    ) -> None:
        """Finds the image.

        Args:
            store: The layout; closed with the reader.
            wanted: Which image, if it holds several.
            platform: `os/architecture[/variant]`, or None for that of this host.
            source: Where the image comes from.

        Raises:
            LayerscopeError: There is no such image, or it cannot be read.
        """
        self._store = store
        try:
            top = self._choose_image(wanted)
            descriptor = self._choose_platform(top, platform)
            self._manifest = self._read_manifest(descriptor)
            self.image = self._read_image(top, descriptor, source)
            self._check_platform(platform)
        except BaseException:
            store.close()
            raise

    def cache_key(self, layer: int) -> str | None:
        """The place of the layer's bytes: a layout's own word on digests is not taken."""
        with self._store.opened(_blob(self._manifest.layers[layer].digest)) as (_, _, key):
            return key

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers, base first; see `ImageReader.changesets`."""
        progress.what = "Reading layers"
        progress.total = sum(layer.size for layer in self._manifest.layers)
        behind = 0
        for index, descriptor in enumerate(self._manifest.layers):
            shift = behind

            def advance(at: int, shift: int = shift) -> None:
                progress.advance(at + shift)

            if index not in known:
                with self._store.opened(_blob(descriptor.digest)) as (source, size, _):
                    yield (
                        index,
                        read_layer(
                            source,
                            0,
                            size,
                            file=self._store.file,
                            name=descriptor.digest,
                            advance=advance,
                        ),
                    )
            behind += descriptor.size
            progress.advance(behind)

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file; see `ImageReader.content`."""
        digest = self._manifest.layers[layer].digest
        with self._store.opened(_blob(digest)) as (source, _, _):
            yield from layer_content(source, changeset, row, file=self._store.file, name=digest)

    def close(self) -> None:
        """Closes the layout."""
        self._store.close()

    def _choose_image(self, wanted: str | None) -> Descriptor:
        images = list(image_candidates(self._index(INDEX, read_document(self._store, INDEX))))
        if not images:
            raise BadInputError(self._store.file, None, f"{INDEX} names no image")
        if wanted is None:
            digests = {image.digest for image in images}
            if len(digests) == 1 or all(image.platform for image in images):
                # One image, perhaps under several names, or one for each platform.
                return images[0]
            raise AmbiguousError(
                f"{self._store.file} holds {len(digests)} images.",
                f"Name one behind a colon: {_listed(images)}.",
                _names(images),
            )
        for image in images:
            names = [image.annotations.get(key, "") for key in _NAMES]
            if wanted in (*names, image.digest) or any(
                name and same_reference(wanted, name) for name in names
            ):
                return image
        raise NotFoundError(
            f"{self._store.file} holds no image {visible(wanted)}.", f"It holds {_listed(images)}."
        )

    def _choose_platform(self, top: Descriptor, platform: str | None) -> Descriptor:
        try:
            wanted = host_platform() if platform is None else parse_platform(platform)
        except PlatformError as error:
            raise UsageError(f"{visible(str(error))}.", "Write it like linux/arm64.") from None
        candidates = list(self._manifests(top, 0))
        if top.media_type not in INDEX_TYPES and top.platform is not None:
            siblings = image_candidates(self._index(INDEX, read_document(self._store, INDEX)))
            candidates = [c for sibling in siblings for c in self._manifests(sibling, 0)]
        found = choose(candidates, wanted)
        if found is None and platform is None and len(candidates) == 1:
            found = candidates[0]
        if found is None:
            raise NotFoundError(
                f"{self._store.file} has no image for {wanted}.",
                f"Choose one with --platform: {visible(', '.join(platform_names(candidates)))}.",
            )
        return found

    def _check_platform(self, platform: str | None) -> None:
        """A manifest that stands alone need not tell its platform; its configuration does."""
        if platform is None:
            return
        have = Platform(self.image.os, *self.image.architecture.split("/", 1))
        if parse_platform(platform).rank(have) is None:
            raise NotFoundError(
                f"{self._store.file} has no image for {visible(platform)}.",
                f"Choose one with --platform: {visible(str(have))}.",
            )

    def _manifests(self, descriptor: Descriptor, depth: int) -> Iterator[Descriptor]:
        """The manifests behind a descriptor, through nested indexes."""
        if descriptor.media_type not in INDEX_TYPES:
            yield descriptor
            return
        if depth == _DEEPEST:
            raise BadInputError(self._store.file, None, "its indexes are nested too deeply")
        for inner in image_candidates(self._index(descriptor.digest, self._verified(descriptor))):
            yield from self._manifests(inner, depth + 1)

    def _index(self, name: str, data: bytes) -> list[Descriptor]:
        try:
            return parse_index(load_json(self._store.file, name, data))
        except ManifestError as error:
            raise BadInputError(self._store.file, None, f"{visible(name)}: {error}") from None

    def _read_manifest(self, descriptor: Descriptor) -> Manifest:
        document = load_json(self._store.file, descriptor.digest, self._verified(descriptor))
        try:
            manifest = parse_manifest(document)
        except ManifestError as error:
            raise BadInputError(
                self._store.file, None, f"{visible(descriptor.digest)}: {error}"
            ) from None
        if len(manifest.layers) > MAX_LAYERS:
            raise BadInputError(
                self._store.file, None, f"the manifest names {len(manifest.layers)} layers"
            )
        for layer in manifest.layers:
            if "nondistributable" in layer.media_type or "foreign" in layer.media_type:
                raise BadInputError(
                    self._store.file,
                    None,
                    f"layer {short_id(layer.digest)} is a foreign layer, kept elsewhere",
                )
        return manifest

    def _verified(self, descriptor: Descriptor) -> bytes:
        """A document, checked against its digest; layers are not, which would mean to read them."""
        data = read_document(self._store, _blob(descriptor.digest))
        algorithm, _, digest = descriptor.digest.partition(":")
        known = algorithm in ("sha256", "sha512")
        if known and hashlib.new(algorithm, data).hexdigest() != digest.lower():
            raise BadInputError(
                self._store.file, None, f"{visible(descriptor.digest)} has another digest"
            )
        return data

    def _read_image(self, top: Descriptor, descriptor: Descriptor, source: str) -> Image:
        config_descriptor = self._manifest.config
        config = read_config(
            self._store.file, config_descriptor.digest, self._verified(config_descriptor)
        )
        layers = self._manifest.layers
        if len(layers) != len(config.diff_ids):
            raise BadInputError(
                self._store.file,
                None,
                f"the manifest names {len(layers)} layers and the configuration "
                f"{len(config.diff_ids)}",
            )
        name = next((top.annotations[key] for key in _NAMES if top.annotations.get(key)), "")
        return image_from_config(
            config,
            reference=name or descriptor.digest,
            image_id=config_descriptor.digest,
            source=source,
            digests=[layer.digest for layer in layers],
        )


def _blob(digest: str) -> str:
    """The name of a blob in a layout. A digest that is none must not become a path."""
    algorithm, _, value = digest.partition(":")
    if not algorithm.replace("+", "").isalnum() or not value.isalnum():
        raise BadInputError(visible(digest), None, "it is no digest")
    return f"blobs/{algorithm}/{value}"


def _names(images: list[Descriptor]) -> list[str]:
    names = [
        next((image.annotations[key] for key in _NAMES if image.annotations.get(key)), image.digest)
        for image in images
    ]
    return list(dict.fromkeys(names))


def _listed(images: list[Descriptor]) -> str:
    return visible(", ".join(_names(images)))
