"""`oci:` and `oci-archive:`: an image in an OCI image layout (image-layout.md).

`index.json` lists images by reference; each is a manifest or an index of one manifest for each
platform, and indexes may be nested. What is about an image and none itself (attestations,
signatures and other referrers) is passed over. A layer whose blob is not there, because it is
foreign or only a part was copied, is shown as missing; one that is damaged is an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from layerscope.errors import SAVE_AGAIN, AmbiguousError, BadInputError, NotFoundError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.blob_store import INDEX, BlobMissingError, BlobStore, read_document
from layerscope.images.content import layer_content, layer_contents
from layerscope.images.image import Image, image_from_config, with_missing
from layerscope.images.layer_bytes import read_layer
from layerscope.images.located import Located, locate
from layerscope.images.passing import Passed, Wanted, unreadable
from layerscope.images.platforms import (
    check_platform,
    missing_platform,
    wanted_platform,
    with_platforms,
)
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.images.save_layout import MAX_LAYERS, load_json, read_config, same_reference
from layerscope.oci.byte_source import ByteSource
from layerscope.oci.manifest import (
    FOREIGN,
    INDEX_TYPES,
    Descriptor,
    Manifest,
    ManifestError,
    parse_index,
    parse_manifest,
)
from layerscope.oci.platform import choose, image_candidates, platform_names
from layerscope.text import visible

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
            tops = self._choose_image(wanted)
            candidates = self._present(tops)
            descriptor = self._choose_platform(candidates, platform)
            self._manifest = self._read_manifest(descriptor)
            image = self._read_image(tops[0], descriptor, source)
            image = with_platforms(image, descriptor, candidates)
            sizes = [layer.size for layer in self._manifest.layers]
            self.image = with_missing(image, self._missing(), sizes)
            # A manifest that stands alone need not tell its platform; its configuration does.
            check_platform(self.image, platform, store.file)
        except BaseException:
            store.close()
            raise

    def cache_key(self, layer: int) -> str | None:
        """The place of the layer's bytes: a layout's own word on digests is not taken."""
        if self.image.layers[layer].missing:
            return None
        with self._opened(self._manifest.layers[layer].digest) as (_, _, key):
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

            if index not in known and self.image.layers[index].missing:
                yield index, Changeset.empty()
            elif index not in known:
                with self._opened(descriptor.digest) as (source, size, _):
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
        with self._opened(digest) as (source, _, _):
            yield from layer_content(source, changeset, row, file=self._store.file, name=digest)

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files; see `PassingReader.contents`."""
        file = self._store.file
        for layer, (changeset, rows) in wanted.items():
            digest = self._manifest.layers[layer].digest
            try:
                with self._opened(digest) as (source, _, _):
                    yield from layer_contents(
                        layer, source, changeset, rows, file=file, name=digest
                    )
            except BadInputError as error:
                # Its blob is not there any more: pieces tell of all else.
                yield from unreadable(layer, rows, error)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """Where the content of a file lies; see `LocatingReader.located`."""
        with self._opened(self._manifest.layers[layer].digest) as (source, _, _):
            return locate(source, changeset, row, self._store.file)

    def _opened(self, digest: str) -> AbstractContextManager[tuple[ByteSource, int, str]]:
        return self._store.opened(_blob(self._store.file, digest))

    def close(self) -> None:
        """Closes the layout."""
        self._store.close()

    def _missing(self) -> dict[int, str]:
        """Why layers are not there, by number.

        Raises:
            BadInputError: None of them is.
        """
        found: dict[int, str] = {}
        layers = self._manifest.layers
        for index, layer in enumerate(layers):
            try:
                with self._opened(layer.digest):
                    pass
            except BlobMissingError as error:
                found[index] = FOREIGN if layer.foreign else "its blob was not copied"
                if len(found) == len(layers):
                    raise error
        return found

    def _choose_image(self, wanted: str | None) -> list[Descriptor]:
        """What the image is found through: one descriptor, or one for each platform."""
        images = list(image_candidates(self._index(INDEX, read_document(self._store, INDEX))))
        if not images:
            raise BadInputError(self._store.file, None, f"{INDEX} names no image")
        if wanted is None:
            digests = {image.digest for image in images}
            if len(digests) == 1 or _are_one(images):
                # One image, perhaps under several names, or one for each platform.
                return images
            raise AmbiguousError(
                f"{self._store.file} holds {len(digests)} images.",
                f"Name one behind a colon: {_listed(images)}.",
                _names(images),
            )
        by_digest = [image for image in images if image.digest == wanted]
        found = by_digest[:1] or [image for image in images if _is_called(image, wanted)]
        if found:
            return found if _are_one(found) else found[:1]
        raise NotFoundError(
            f"{self._store.file} holds no image {visible(wanted)}.", f"It holds {_listed(images)}."
        )

    def _present(self, tops: list[Descriptor]) -> list[Descriptor]:
        """The manifests to choose from: of an index that is here in part, those that are here."""
        found: dict[tuple[str, str | None], Descriptor] = {}
        seen: set[str] = set()
        for top in tops:
            for manifest in self._manifests(top, seen):
                found.setdefault((manifest.digest, manifest.platform), manifest)
        if not found:
            raise BadInputError(self._store.file, None, "its index names no image")
        return [each for each in found.values() if self._has(each)] or list(found.values())

    def _has(self, descriptor: Descriptor) -> bool:
        try:
            with self._opened(descriptor.digest):
                return True
        except BadInputError:
            return False

    def _choose_platform(self, candidates: list[Descriptor], asked: str | None) -> Descriptor:
        wanted = wanted_platform(asked)
        found = choose(candidates, wanted)
        if found is None and asked is None and len(candidates) == 1:
            found = candidates[0]
        if found is None:
            raise missing_platform(self._store.file, wanted, platform_names(candidates))
        return found

    def _manifests(
        self, descriptor: Descriptor, seen: set[str], depth: int = 0
    ) -> Iterator[Descriptor]:
        """The manifests behind a descriptor, through nested indexes, each read but once."""
        if descriptor.media_type not in INDEX_TYPES:
            yield descriptor
            return
        if depth == _DEEPEST:
            raise BadInputError(self._store.file, None, "its indexes are nested too deeply")
        if descriptor.digest in seen:
            return
        seen.add(descriptor.digest)
        for inner in image_candidates(self._index(descriptor.digest, self._verified(descriptor))):
            yield from self._manifests(inner, seen, depth + 1)

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
        return manifest

    def _verified(self, descriptor: Descriptor) -> bytes:
        """A document, checked against its digest; layers are not, which would mean to read them."""
        data = read_document(self._store, _blob(self._store.file, descriptor.digest))
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
        return image_from_config(
            config,
            reference=_name(top) or descriptor.digest,
            image_id=config_descriptor.digest,
            source=source,
            digests=[layer.digest for layer in layers],
        )


def _blob(file: str, digest: str) -> str:
    """The name of a blob in a layout. A digest that is none must not become a path."""
    algorithm, _, value = digest.partition(":")
    if not algorithm.replace("+", "").isalnum() or not value.isalnum():
        raise BadInputError(
            file, None, f"it names {visible(digest)[:100]!r}, which is no digest", SAVE_AGAIN
        )
    return f"blobs/{algorithm}/{value}"


def holds_platforms(store: BlobStore) -> bool:
    """Whether a layout, or what looks like one, has an image for more than one platform."""
    try:
        tops = image_candidates(
            parse_index(load_json(store.file, INDEX, read_document(store, INDEX)))
        )
        # However many names an index has.
        for digest in dict.fromkeys(top.digest for top in tops if top.media_type in INDEX_TYPES):
            name = _blob(store.file, digest)
            index = parse_index(load_json(store.file, name, read_document(store, name)))
            if len({inner.platform for inner in image_candidates(index)}) > 1:
                return True
    except (BadInputError, ManifestError):
        # Whoever opens it will say what is wrong, if that is in the way.
        pass
    return False


def _is_called(image: Descriptor, wanted: str) -> bool:
    names = [image.annotations[key] for key in _NAMES if image.annotations.get(key)]
    return any(wanted == name or same_reference(wanted, name) for name in names)


def _are_one(images: list[Descriptor]) -> bool:
    """Whether descriptors stand for one image, each with another of its platforms."""
    names = {_name(image) for image in images}
    return len(names) == 1 and all(image.platform for image in images)


def _name(image: Descriptor) -> str:
    return next((image.annotations[key] for key in _NAMES if image.annotations.get(key)), "")


def _names(images: list[Descriptor]) -> list[str]:
    return list(dict.fromkeys(_name(image) or image.digest for image in images))


def _listed(images: list[Descriptor]) -> str:
    return visible(", ".join(_names(images)))
