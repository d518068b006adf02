"""From an index to an image: nested indexes, choosing a platform, manifest, configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from layerscope.errors import LayerscopeError
from layerscope.images.image import Image, image_from_config
from layerscope.images.platforms import check_platform, missing_platform, with_platforms
from layerscope.oci.config import ConfigError, parse_config
from layerscope.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    ManifestError,
    artifact_type,
    parse_index,
    parse_manifest,
)
from layerscope.oci.platform import (
    ATTESTATION,
    Platform,
    choose,
    image_candidates,
    platform_names,
)
from layerscope.records import go_json
from layerscope.text import clip, plural, visible

#: More than any engine accepts: the kernel's overlayfs has at most 500.
MAX_LAYERS = 1000

#: How many images and artifact types an error names, and how much of a type it shows.
_MOST_SOURCES = 4
_MOST_KINDS = 8
_LONGEST_KIND = 120

#: No sane image has more nested indexes, and each costs a request in a registry.
MAX_INDEXES = 16


def _of_artifact(error: LayerscopeError) -> LayerscopeError:
    error.artifact = True
    return error


class ManifestPlace(ABC):
    """A place that stores manifests and indexes by digest."""

    name: str  # Its name or the image's, safe to show.
    image_name = ""  # The image's name, safe to show, if `name` is a place with several images.

    @abstractmethod
    def document(self, descriptor: Descriptor) -> Any:
        """A manifest or index, verified and parsed as JSON."""

    @abstractmethod
    def bad(self, problem: str) -> LayerscopeError:
        """The error for a document that is invalid."""

    @abstractmethod
    def source_of(self, digest: str) -> str:
        """The source that opens one of its images; hints show it."""

    def descriptors(self, index: object) -> list[Descriptor]:
        try:
            return parse_index(index)
        except ManifestError as error:
            raise self.bad(str(error)) from None

    def artifact(self, descriptor: Descriptor) -> str:
        """What a manifest describes, if it is not a container image; else empty."""
        try:
            return artifact_type(self.document(descriptor))
        except LayerscopeError:
            return ""  # Opening it reports what is wrong.

    def candidates(self, descriptors: Iterable[Descriptor]) -> list[Descriptor]:
        """The images that descriptors lead to; each nested index is read once.

        Raises LayerscopeError if they lead to artifacts only, such as attestations and signatures.
        """
        others: list[Descriptor] = []
        found: dict[tuple[str, str | None], Descriptor] = {}
        seen: set[str] = set()
        pending = list(descriptors)
        while pending:
            descriptor = pending.pop(0)
            if descriptor.media_type not in INDEX_TYPES:
                found.setdefault((descriptor.digest, descriptor.platform), descriptor)
            elif descriptor.digest not in seen:
                seen.add(descriptor.digest)
                if len(seen) > MAX_INDEXES:
                    raise self.bad("its indexes name too many other indexes")
                inner = self.descriptors(self.document(descriptor))
                images = list(image_candidates(inner))
                others += (each for each in inner if each not in images)
                pending = images + pending
        if not found:
            raise self.no_image(others)
        return list(found.values())

    def no_image(self, artifacts: Iterable[Descriptor]) -> LayerscopeError:
        """The error for a place that holds only artifacts."""
        # If a descriptor lacks the type, its manifest has it; some manifests are read for that.
        kinds = dict.fromkeys(
            each.artifact_type
            or each.annotations.get(ATTESTATION)
            or (each.media_type in MANIFEST_TYPES and number < _MOST_KINDS and self.artifact(each))
            or each.media_type
            or "unknown"
            for number, each in enumerate(artifacts)
        )
        if not kinds:
            return self.bad("its index names no image")
        names = ", ".join(visible(clip(kind, _LONGEST_KIND)) for kind in list(kinds)[:_MOST_KINDS])
        what = "artifacts of the types" if len(kinds) > 1 else "an artifact of type"
        return _of_artifact(self.bad(f"it holds no container image, only {what} {names}"))

    def choose(
        self, candidates: Sequence[Descriptor], wanted: Platform, *, exact: bool
    ) -> Descriptor:
        """The image for a platform; unless `exact`, the only image will also do."""
        chosen = choose(candidates, wanted)
        if chosen is None and len(candidates) > 1:
            # An index need not mark a manifest as an artifact; artifacts have no platform.
            candidates = [each for each in candidates if each.platform or not self.artifact(each)]
            chosen = choose(candidates, wanted)
        if chosen is None and len(candidates) == 1 and not exact:
            return candidates[0]
        if chosen is None:
            sources = [self.source_of(each.digest) for each in candidates[:_MOST_SOURCES]]
            hint = f"Its images name no platform. Open one by its digest: {', '.join(sources)}."
            place = self.image_name or self.name
            raise missing_platform(place, wanted, platform_names(candidates), visible(hint))
        return chosen

    def manifest(self, document: object) -> Manifest:
        kind = artifact_type(document)
        if kind:
            shown = visible(clip(kind, _LONGEST_KIND))
            problem = f"it is an artifact of type {shown}, not a container image"
            raise _of_artifact(self.bad(problem))
        if isinstance(document, dict) and "fsLayers" in document:
            raise self.bad("it is stored in Docker's schema 1, which has been retired")
        try:
            manifest = parse_manifest(document)
        except ManifestError as error:
            raise self.bad(str(error)) from None
        if len(manifest.layers) > MAX_LAYERS:
            raise self.bad(f"its manifest names {plural(len(manifest.layers), 'layer')}")
        return manifest

    def image_of(
        self,
        manifest: Manifest,
        config: bytes,
        *,
        reference: str,
        source: str,
        chosen: Descriptor | None,
        candidates: Sequence[Descriptor],
        asked: str | None,
    ) -> Image:
        """The image of a manifest and its configuration.

        `config` has been verified; `chosen` is the manifest's descriptor if it is in an index,
        `candidates` the images in that index, and `asked` the requested platform, or None.

        Raises LayerscopeError if they are inconsistent or of another platform.
        """
        try:
            parsed = parse_config(go_json(config), config)
        except ConfigError as error:
            raise self.bad(str(error)) from None
        except ValueError:
            raise self.bad("its configuration is not valid JSON") from None
        layers = manifest.layers
        if len(parsed.diff_ids) != len(layers):
            raise self.bad(
                f"its manifest names {plural(len(layers), 'layer')} and its configuration "
                f"{len(parsed.diff_ids)}"
            )
        image = image_from_config(
            parsed,
            reference=reference,
            image_id=manifest.config.digest,
            source=source,
            digests=[layer.digest for layer in layers],
        )
        if chosen is not None:
            image = with_platforms(image, chosen, candidates)
        image = replace(image, annotations=manifest.annotations)
        # A manifest outside an index may have no platform; its configuration has one.
        check_platform(image, asked, self.image_name or self.name)
        return image
