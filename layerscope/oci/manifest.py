"""Manifests: of OCI images and indexes, of Docker images, and of `docker save` archives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

#: What to say of a layer that is missing because of that.
FOREIGN = "it is foreign, kept elsewhere for its license"

INDEX_TYPES = frozenset((OCI_INDEX, DOCKER_LIST))
MANIFEST_TYPES = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))

#: Documents above this are refused, as registries refuse them (OCI distribution specification,
#: "Pushing Manifests", asks for 4 MiB at least).
MAX_DOCUMENT = 8 << 20


class ManifestError(ValueError):
    """A document that is not the manifest it should be; the message says why."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A content descriptor (OCI image specification, descriptor.md).

    Attributes:
        media_type: Media type of the content.
        digest: Its digest.
        size: Its size in bytes.
        annotations: Annotations.
        platform: `os/architecture[/variant]`, or None.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str]
    platform: str | None = None

    @property
    def foreign(self) -> bool:
        """Whether it is a layer that its license keeps out of registries and archives.

        OCI image specification, layer.md, "Non-Distributable Layers"; Docker calls them foreign.
        """
        return "nondistributable" in self.media_type or "foreign" in self.media_type


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest (OCI image specification, manifest.md; Docker's schema 2 is the same).

    Attributes:
        config: Where the image configuration is.
        layers: Where the layers are, base first.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image in the `manifest.json` of a `docker save` archive.

    Attributes:
        config: Name of the archive's entry with the image configuration.
        tags: References of the image; may be empty.
        layers: Names of the entries with the layers, base first.
    """

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


def parse_saved_images(document: object) -> list[SavedImage]:
    """Reads the `manifest.json` of a `docker save` archive.

    Raises:
        ManifestError: It is none.
    """
    if not isinstance(document, list):
        raise ManifestError("manifest.json is not a list of images")
    images = []
    for entry in document:
        if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
            raise ManifestError("manifest.json names no configuration for an image")
        images.append(
            SavedImage(
                config=entry["Config"],
                tags=_strings(entry, "RepoTags"),
                layers=_strings(entry, "Layers"),
            )
        )
    return images


def parse_manifest(document: object) -> Manifest:
    """Reads an image manifest.

    Raises:
        ManifestError: It is none.
    """
    if not isinstance(document, dict):
        raise ManifestError("the manifest is not a JSON object")
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise ManifestError("the manifest has no list of layers")
    return Manifest(
        config=parse_descriptor(document.get("config")),
        layers=tuple(parse_descriptor(layer) for layer in layers),
    )


def parse_index(document: object) -> list[Descriptor]:
    """Reads an image index or manifest list.

    Raises:
        ManifestError: It is none.
    """
    entries = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ManifestError("the index has no list of manifests")
    return [parse_descriptor(entry) for entry in entries]


def parse_descriptor(document: object) -> Descriptor:
    """Reads a descriptor.

    Raises:
        ManifestError: It is none.
    """
    if not isinstance(document, dict):
        raise ManifestError("a descriptor is not a JSON object")
    digest, size = document.get("digest"), document.get("size")
    if not isinstance(digest, str) or ":" not in digest:
        raise ManifestError("a descriptor has no digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestError("a descriptor has no size")
    media_type = document.get("mediaType")
    annotations = document.get("annotations")
    return Descriptor(
        media_type=media_type if isinstance(media_type, str) else "",
        digest=digest,
        size=size,
        annotations={
            str(key): str(value)
            for key, value in (annotations if isinstance(annotations, dict) else {}).items()
        },
        platform=_platform(document.get("platform")),
    )


def _platform(document: object) -> str | None:
    if not isinstance(document, dict):
        return None
    parts = [document.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if isinstance(part, str) and part)


def _strings(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of strings; null and missing are the empty list, as Docker writes both."""
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ManifestError(f"{key} in manifest.json is not a list of names")
    return tuple(value)
