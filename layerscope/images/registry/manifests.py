"""Finds the image of a reference: indexes, the choice of a platform, its configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from layerscope.errors import LayerscopeError, NotFoundError, RegistryError
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.image import Image
from layerscope.images.manifests import ManifestPlace
from layerscope.images.registry.blobs import fetch_config
from layerscope.images.registry.client import Check, RegistryClient
from layerscope.images.registry.errors import wrong_digest
from layerscope.oci.distribution import SCHEMA_1_TYPES, is_digest
from layerscope.oci.manifest import INDEX_TYPES, OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from layerscope.oci.platform import Platform, image_candidates
from layerscope.oci.reference import Reference
from layerscope.records import go_json, text_of
from layerscope.text import visible


@dataclass(frozen=True, slots=True)
class FoundImage:
    image: Image
    manifest: Manifest
    digest: str  # The digest of its manifest.
    top: Descriptor  # What the reference names: its manifest, or an index.
    own: Descriptor  # Its manifest.
    documents: Mapping[str, bytes]  # These and the configuration as stored, by digest.


class ImageFinder(ManifestPlace):
    """Finds an image in a registry.

    `platform` selects an image of an index; with `exact`, no other will do. `check` raises to
    stop. With `documents`, a cache of manifests and configurations, the registry is first asked
    for the current digest of a known tag, which does not count as a pull.
    """

    def __init__(
        self,
        client: RegistryClient,
        reference: Reference,
        platform: Platform,
        check: Check,
        documents: DocumentCache | None = None,
        *,
        exact: bool = False,
    ) -> None:
        self._client = client
        self._reference = reference
        self._platform = platform
        self._check = check
        self._documents = documents
        self._exact = exact
        self._data: dict[str, bytes] = {}
        self.name = visible(str(reference))

    def find(self) -> FoundImage:
        """Finds the image.

        Raises LayerscopeError if it does not exist or is not a readable image.
        """
        document, digest = self._first()
        top = own = self._described(document, digest)
        chosen: Descriptor | None = None
        candidates: list[Descriptor] = []
        if _is_index(document):
            inner = self.descriptors(document)
            images = list(image_candidates(inner))
            if not images:
                raise self.no_image(inner)
            candidates = self.candidates(images)
            chosen = self.choose(candidates, self._platform, exact=self._exact)
            digest = chosen.digest
            document = self.document(chosen)
            own = self._described(document, digest)
        manifest = self.manifest(document)
        image = self.image_of(
            manifest,
            self._config(manifest.config),
            reference=str(self._reference),
            source=f"docker://{full_name(self._reference)}",
            chosen=chosen,
            candidates=candidates,
            asked=str(self._platform) if self._exact else None,
        )
        layers = tuple(
            replace(layer, stored_size=descriptor.size)
            for layer, descriptor in zip(image.layers, manifest.layers, strict=True)
        )
        data = {each: self._data[each] for each in (top.digest, digest, manifest.config.digest)}
        return FoundImage(replace(image, layers=layers), manifest, digest, top, own, data)

    def _described(self, document: dict[str, Any], digest: str) -> Descriptor:
        """The descriptor of a manifest or index, some of which lack their own type."""
        kind = text_of(document, "mediaType") or (OCI_INDEX if _is_index(document) else "")
        return Descriptor(kind or OCI_MANIFEST, digest, len(self._data[digest]), {})

    def document(self, descriptor: Descriptor) -> dict[str, Any]:
        return self._document(descriptor.digest)[0]

    def bad(self, problem: str) -> LayerscopeError:
        return RegistryError(f"{self.name} cannot be read: {problem}.")

    def source_of(self, digest: str) -> str:
        name = full_name(replace(self._reference, tag=None, digest=digest))
        return f"docker://{name}"

    def _first(self) -> tuple[dict[str, Any], str]:
        """The manifest or index that the reference names, and its digest; a digest beats a tag."""
        wanted = self._reference.digest or self._reference.tag or ""
        documents, name = self._documents, full_name(self._reference)
        if documents is not None and documents.last_digest(name) is not None:
            digest = self._client.manifest_digest(wanted, self._check)
            if digest is not None and documents.get(digest) is not None:
                return self._document(digest)
        try:
            document, digest = self._document(wanted)
        except NotFoundError:
            raise NotFoundError(
                f"{visible(self._reference.domain)} has no image {self.name} (404).",
                "Check the name and the tag.",
            ) from None
        if documents is not None and self._reference.digest is None:
            documents.note(name, digest)
        return document, digest

    def _document(self, wanted: str) -> tuple[dict[str, Any], str]:
        data = None if self._documents is None else self._documents.get(wanted)
        media_type = ""
        promised: str | None = wanted if ":" in wanted else None
        if data is None:
            answer = self._client.manifest(wanted, self._check)
            data, media_type = answer.data, answer.media_type
        if promised is not None:
            if not is_digest(promised):
                raise self.bad("its digest is neither sha256 nor sha512")
            name, _, value = promised.partition(":")
            found = hashlib.new(name, data).hexdigest()
            if found != value:
                subject = self._client.subject(f"manifest {wanted}")
                raise wrong_digest(subject, promised, f"{name}:{found}")
        try:
            document = go_json(data)
        except ValueError:
            raise self.bad("its manifest is not valid JSON") from None
        if not isinstance(document, dict):
            raise self.bad("its manifest is not a JSON object")
        if media_type in SCHEMA_1_TYPES or document.get("schemaVersion") == 1:
            raise RegistryError(
                f"{self.name} is stored in Docker's schema 1, which has been retired.",
                "Push it again with a recent Docker.",
            )
        digest = promised or "sha256:" + hashlib.sha256(data).hexdigest()
        self._data[digest] = data
        if self._documents is not None:
            self._documents.put(digest, data)
        return document, digest

    def _config(self, descriptor: Descriptor) -> bytes:
        data = None if self._documents is None else self._documents.get(descriptor.digest)
        if data is None:
            data = fetch_config(self._client, descriptor, self._check)
            if self._documents is not None:
                self._documents.put(descriptor.digest, data)
        self._data[descriptor.digest] = data
        return data


def _is_index(document: dict[str, Any]) -> bool:
    """Whether a document is an index, by its content: media types are often missing or wrong."""
    kind = document.get("mediaType")
    return (isinstance(kind, str) and kind in INDEX_TYPES) or (
        "manifests" in document and "layers" not in document
    )


def full_name(reference: Reference) -> str:
    """A reference with its registry, even if that is the default."""
    text = f"{reference.domain}/{reference.path}"
    if reference.tag is not None:
        text += f":{reference.tag}"
    return text if reference.digest is None else f"{text}@{reference.digest}"
