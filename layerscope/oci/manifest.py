"""Manifests: of OCI images and indexes, of Docker images, and of `docker save` archives."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

#: Media types of layers, by compression.
OCI_LAYERS = {
    None: "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}

#: The same in Docker's manifests; it has none for zstd.
DOCKER_LAYERS = {
    None: "application/vnd.docker.image.rootfs.diff.tar",
    "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}

#: The reason why a foreign layer is missing.
FOREIGN = "it is foreign, kept elsewhere for its license"

#: An empty config; the manifest or its layers have the type (manifest.md,
#: "Guidelines for Artifact Usage").
_EMPTY = "application/vnd.oci.empty.v1+json"
#: A manifest for artifacts only, which the specification has since dropped.
_OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
_OCTETS = "application/octet-stream"
#: Types of image configurations; some tools set none, or bytes.
CONFIG_TYPES = frozenset(
    (
        "",
        _OCTETS,
        OCI_CONFIG,
        DOCKER_CONFIG,
    )
)
_LAYER_TYPE = re.compile(
    r"|" + re.escape(_OCTETS) + r"|.*\.image\.(?:layer|rootfs)\..*|.*\btar\b.*"
)

INDEX_TYPES = frozenset((OCI_INDEX, DOCKER_LIST))
MANIFEST_TYPES = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))

#: Larger documents are rejected, as by registries (OCI distribution specification, "Pushing
#: Manifests", requires at least 4 MiB).
MAX_DOCUMENT = 8 << 20


class ManifestError(ValueError):
    """A document that is not a valid manifest; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A content descriptor (OCI image specification, descriptor.md)."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str]
    platform: str | None = None  # `os/architecture[/variant]`, or None.
    artifact_type: str = ""  # Its type, if the index has it; may be an image's config type.

    @property
    def foreign(self) -> bool:
        """Whether its license keeps this layer out of registries and archives.

        OCI image specification, layer.md, "Non-Distributable Layers"; Docker calls them foreign.
        """
        return "nondistributable" in self.media_type or "foreign" in self.media_type

    @property
    def document(self) -> dict[str, Any]:
        """The descriptor as a JSON object."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.platform:
            keys = ("os", "architecture", "variant")
            document["platform"] = dict(zip(keys, self.platform.split("/"), strict=False))
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        return document


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest (OCI image specification, manifest.md; Docker's schema 2 is the same)."""

    config: Descriptor
    layers: tuple[Descriptor, ...]  # Base first.
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image in the `manifest.json` of a `docker save` archive."""

    config: str  # The entry name of the image configuration.
    tags: tuple[str, ...]  # References of the image; may be empty.
    layers: tuple[str, ...]  # The entry names of the layers, base first.


def parse_saved_images(document: object) -> list[SavedImage]:
    """Parses the `manifest.json` of a `docker save` archive; raises ManifestError."""
    if not isinstance(document, list):
        raise ManifestError("manifest.json is not a list of images")
    images = []
    for entry in document:
        if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
            raise ManifestError("manifest.json names no configuration for an image")
        tags, layers = _strings(entry, "RepoTags"), _strings(entry, "Layers")
        images.append(SavedImage(entry["Config"], tags, layers))
    return images


def parse_manifest(document: object) -> Manifest:
    """Parses an image manifest; raises ManifestError if it is not one."""
    if not isinstance(document, dict):
        raise ManifestError("the manifest is not a JSON object")
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise ManifestError("the manifest has no list of layers")
    config = parse_descriptor(document.get("config"))
    return Manifest(config, tuple(map(parse_descriptor, layers)), _annotations(document))


def artifact_type(document: object) -> str:
    """What a manifest describes, if it is not a container image; else empty.

    Artifacts such as charts, signatures and SBOMs are stored with image manifests. Signatures even
    have an image configuration: the types of the layers then reveal what they are.
    """
    if not isinstance(document, dict):
        return ""
    config, layers = document.get("config"), document.get("layers")
    kinds = [_media_type(layer) for layer in layers] if isinstance(layers, list) else []
    contents = next((kind for kind in kinds if kind and kind != _EMPTY), "")
    given, own = document.get("artifactType"), _media_type(document)
    named = given if isinstance(given, str) else ""
    if own == _OCI_ARTIFACT or (named and config is None):
        return named or own
    kind = _media_type(config)
    if kind not in CONFIG_TYPES:
        return named or (contents if kind == _EMPTY else "") or kind
    if kinds and not any(map(_LAYER_TYPE.fullmatch, kinds)):
        return named or contents or kinds[0]
    return ""


def _media_type(document: object) -> str:
    kind = document.get("mediaType") if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else ""


def parse_index(document: object) -> list[Descriptor]:
    """Parses an image index or manifest list; raises ManifestError if it is not one."""
    entries = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ManifestError("the index has no list of manifests")
    return [parse_descriptor(entry) for entry in entries]


def parse_descriptor(document: object) -> Descriptor:
    """Parses a descriptor; raises ManifestError if it is not one."""
    if not isinstance(document, dict):
        raise ManifestError("a descriptor is not a JSON object")
    digest, size = document.get("digest"), document.get("size")
    if not isinstance(digest, str) or ":" not in digest:
        raise ManifestError("a descriptor has no valid digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestError("a descriptor has no valid size")
    artifact = document.get("artifactType")
    return Descriptor(
        _media_type(document),
        digest,
        size,
        _annotations(document),
        _platform(document.get("platform")),
        artifact if isinstance(artifact, str) else "",
    )


def _annotations(document: Mapping[str, Any]) -> dict[str, str]:
    given = document.get("annotations")
    return {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}


def _platform(document: object) -> str | None:
    if not isinstance(document, dict):
        return None
    parts = [document.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if isinstance(part, str) and part) or None


def json_bytes(document: object) -> bytes:
    """Serializes a document: equal content has equal bytes."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def describe(data: bytes, media_type: str, platform: str | None = None) -> Descriptor:
    """The descriptor of a document."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Descriptor(media_type, digest, len(data), {}, platform)


def image_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """The manifest of an image, in the format of its configuration's media type."""
    media_type = DOCKER_MANIFEST if config.media_type == DOCKER_CONFIG else OCI_MANIFEST
    return json_bytes(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.document,
            "layers": [layer.document for layer in layers],
        }
    )


def _strings(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of strings; Docker writes an empty one as null or leaves it out."""
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ManifestError(f"{key} in manifest.json is not a list of names")
    return tuple(value)
