"""Finds the image that a reference means: indexes, the choice of a platform, its configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from layerscope.errors import LayerscopeError, NotFoundError, RegistryError
from layerscope.images.document_cache import DocumentCache
from layerscope.images.image import Image, image_from_config
from layerscope.images.platforms import check_platform, missing_platform, with_platforms
from layerscope.images.registry_blob import fetch_blob
from layerscope.images.registry_client import Check, RegistryClient
from layerscope.images.registry_errors import wrong_digest
from layerscope.images.save_layout import MAX_LAYERS
from layerscope.oci.config import ConfigError, ImageConfig, parse_config
from layerscope.oci.distribution import SCHEMA_1_TYPES, is_digest
from layerscope.oci.manifest import (
    INDEX_TYPES,
    Descriptor,
    Manifest,
    ManifestError,
    parse_index,
    parse_manifest,
)
from layerscope.oci.platform import Platform, choose, image_candidates, platform_names
from layerscope.oci.reference import Reference
from layerscope.text import visible

#: No sane image has more; each costs a request.
_MOST_INDEXES = 16


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image in a registry.

    Attributes:
        image: The image.
        manifest: Its manifest.
        digest: The digest of its manifest.
    """

    image: Image
    manifest: Manifest
    digest: str


def find_image(
    client: RegistryClient,
    reference: Reference,
    platform: Platform,
    check: Check,
    documents: DocumentCache | None = None,
    *,
    exact: bool = False,
) -> FoundImage:
    """Finds an image.

    Args:
        client: The repository.
        reference: The image's name.
        platform: Which image of an index to take.
        check: Raises to stop the work.
        documents: Where manifests and configurations are taken from, and kept. Of a tag that was
            looked up before, it is first asked what it means, which registries that count pulls
            do not count.
        exact: Whether the platform was asked for, so that no other will do.

    Raises:
        LayerscopeError: It is not there, or is no image that can be read.
    """
    return _Finder(client, reference, platform, check, documents, exact=exact).find()


class _Finder:
    def __init__(
        self,
        client: RegistryClient,
        reference: Reference,
        platform: Platform,
        check: Check,
        documents: DocumentCache | None,
        *,
        exact: bool,
    ) -> None:
        self._client = client
        self._reference = reference
        self._platform = platform
        self._check = check
        self._documents = documents
        self._exact = exact
        self._indexes = 0

    @property
    def _name(self) -> str:
        return visible(str(self._reference))

    def find(self) -> FoundImage:
        document, digest = self._first()
        chosen: Descriptor | None = None
        candidates: list[Descriptor] = []
        if _is_index(document):
            candidates = self._candidates(document)
            chosen = self._choose(candidates)
            digest = chosen.digest
            document, _ = self._document(digest)
        try:
            manifest = parse_manifest(document)
        except ManifestError as error:
            raise self._bad(str(error)) from None
        if len(manifest.layers) > MAX_LAYERS:
            raise self._bad(f"its manifest names {len(manifest.layers)} layers")
        config = self._config(manifest)
        image = image_from_config(
            config,
            reference=str(self._reference),
            image_id=manifest.config.digest,
            source=f"docker://{full_name(self._reference)}",
            digests=[layer.digest for layer in manifest.layers],
            stored_sizes=[layer.size for layer in manifest.layers],
        )
        if chosen is not None:
            image = with_platforms(image, chosen, candidates)
        if self._exact:
            # A manifest that stands alone does not tell its platform; its configuration does.
            check_platform(image, str(self._platform), self._name)
        return FoundImage(image, manifest, digest)

    def _first(self) -> tuple[dict[str, Any], str]:
        """What the reference names; a digest counts more than a tag."""
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
                f"{visible(self._reference.domain)} has no image {self._name} (404).",
                "Check the name and the tag.",
            ) from None
        if documents is not None and self._reference.digest is None:
            documents.note(name, digest)
        return document, digest

    def _document(self, wanted: str) -> tuple[dict[str, Any], str]:
        """A manifest or index, verified, and its digest."""
        data = self._kept(wanted)
        media_type = ""
        promised: str | None = wanted if ":" in wanted else None
        if data is None:
            answer = self._client.manifest(wanted, self._check)
            data, media_type = answer.data, answer.media_type
            if promised is None and answer.digest and is_digest(answer.digest):
                promised = answer.digest
        if promised is not None:
            if not is_digest(promised):
                raise self._bad("its digest cannot be checked: only sha256 and sha512 can")
            name, _, value = promised.partition(":")
            if hashlib.new(name, data).hexdigest() != value:
                raise wrong_digest(self._client.subject(f"manifest {wanted}"))
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise self._bad("its manifest is not valid JSON") from None
        if not isinstance(document, dict):
            raise self._bad("its manifest is not a JSON object")
        if media_type in SCHEMA_1_TYPES or document.get("schemaVersion") == 1:
            raise RegistryError(
                f"{self._name} is stored in Docker's schema 1, which has been retired.",
                "Push it again with a Docker of this decade.",
            )
        digest = promised or "sha256:" + hashlib.sha256(data).hexdigest()
        self._keep(digest, data)
        return document, digest

    def _kept(self, digest: str) -> bytes | None:
        return self._documents.get(digest) if self._documents is not None else None

    def _keep(self, digest: str, data: bytes) -> None:
        if self._documents is not None:
            self._documents.put(digest, data)

    def _choose(self, candidates: list[Descriptor]) -> Descriptor:
        chosen = choose(candidates, self._platform)
        if chosen is not None:
            return chosen
        if not candidates:
            raise self._bad("its index names no image")
        if len(candidates) == 1 and not self._exact:
            return candidates[0]
        raise missing_platform(self._name, self._platform, platform_names(candidates))

    def _candidates(self, index: dict[str, Any]) -> list[Descriptor]:
        """The images of an index, those of indexes in it included."""
        self._indexes += 1
        if self._indexes > _MOST_INDEXES:
            raise self._bad("its indexes name too many other indexes")
        try:
            descriptors = list(image_candidates(parse_index(index)))
        except ManifestError as error:
            raise self._bad(str(error)) from None
        found: list[Descriptor] = []
        for descriptor in descriptors:
            if descriptor.media_type in INDEX_TYPES:
                inner, _ = self._document(descriptor.digest)
                found += self._candidates(inner)
            else:
                found.append(descriptor)
        return found

    def _config(self, manifest: Manifest) -> ImageConfig:
        kind = manifest.config.media_type
        if kind and "image" not in kind and "octet-stream" not in kind:
            raise self._bad(f"it holds {visible(kind)}, not a container image")
        digest = manifest.config.digest
        data = self._kept(digest)
        if data is None:
            data = fetch_blob(self._client, manifest.config, "image configuration", self._check)
            self._keep(digest, data)
        try:
            config = parse_config(json.loads(data))
        except ConfigError as error:
            raise self._bad(str(error)) from None
        except (ValueError, RecursionError):
            raise self._bad("its configuration is not valid JSON") from None
        if len(config.diff_ids) != len(manifest.layers):
            raise self._bad(
                f"its manifest names {len(manifest.layers)} layers and its configuration "
                f"{len(config.diff_ids)}"
            )
        return config

    def _bad(self, problem: str) -> LayerscopeError:
        return RegistryError(f"{self._name} cannot be read: {problem}.")


def _is_index(document: dict[str, Any]) -> bool:
    """Told by what is in it: media types are left out, or wrong, often enough."""
    kind = document.get("mediaType")
    return kind in INDEX_TYPES or ("manifests" in document and "layers" not in document)


def full_name(reference: Reference) -> str:
    """A reference with its registry, even where that is the default."""
    text = f"{reference.domain}/{reference.path}"
    if reference.tag is not None:
        text += f":{reference.tag}"
    return text if reference.digest is None else f"{text}@{reference.digest}"
