"""Drift: which images of an engine are behind their registry, and what still runs older ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from enum import Enum

from layerscope.engines.engine import ContainerSummary, Engine
from layerscope.errors import Cancelled, LayerscopeError, NotFoundError, failures_ignored
from layerscope.images.answers import Inspected
from layerscope.images.archives.save_format import same_reference
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.summary import ImageSummary
from layerscope.oci.manifest import ManifestError, parse_index, parse_manifest
from layerscope.oci.reference import Reference, parse_reference
from layerscope.records import go_json
from layerscope.text import visible

_ID = re.compile("(?:sha256:)?[0-9a-f]{12,64}")
_AT_ONCE = 4  # Requests at a time.


class DriftState(Enum):
    CURRENT = "current"
    BEHIND = "behind"  # The registry has another image under this name.
    GONE = "gone"  # The registry has no such name any more.
    LOCAL = "local"  # It was neither pulled nor pushed, so that there is nothing to compare.
    UNKNOWN = "unknown"  # The registry does not say.


@dataclass(frozen=True, slots=True)
class Drift:
    reference: str
    id: str  # The image's id in the engine.
    created: int  # Unix time.
    state: DriftState
    local: tuple[str, ...] = ()  # The digests by which registries may know the image.
    remote: str | None = None  # What the name means in the registry now.
    why: str = ""  # Why it is unknown.
    #: Containers of this name: whether they run the image that the name means here.
    containers: tuple[tuple[ContainerSummary, bool], ...] = ()

    @property
    def is_behind(self) -> bool:
        """Whether something is to be done: a pull, or a container to be made anew."""
        return self.state is DriftState.BEHIND or any(not new for _, new in self.containers)


def find_drift(
    engine: Engine,
    names: Sequence[str] = (),
    *,
    insecure: bool = False,
    check: Check = no_check,
) -> list[Drift]:
    """Compares images with their registries; all that have a name, or some.

    It asks for digests only, which does not count as a pull, unless a digest differs. Raises
    LayerscopeError if the engine does not answer, or has no image of a name.
    """
    listed = [each for each in engine.images() if each.name]
    if names:
        listed = list(_named(listed, names))
    containers = [_with_given_name(engine, each) for each in engine.containers()]
    inspected = {each: engine.inspect(each) for each in dict.fromkeys(each.id for each in listed)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = [
            pool.submit(_drift_of, inspected[each.id], each, containers, insecure, check)
            for each in listed
        ]
        return [each.result() for each in found]


def _with_given_name(engine: Engine, container: ContainerSummary) -> ContainerSummary:
    """A container with its image's name: once that names another image, engines list the id."""
    if container.image and not _ID.fullmatch(container.image):
        return container
    with failures_ignored():  # It may be gone by now.
        return replace(container, image=engine.given_image(container.id))
    return container


def _named(listed: Sequence[ImageSummary], names: Iterable[str]) -> Iterable[ImageSummary]:
    for name in names:
        found = [each for each in listed if same_reference(name, each.name)]
        if not found:
            raise NotFoundError(
                f"The engine has no image {visible(name)}.", "`layerscope images` lists its images."
            )
        yield from found


def _drift_of(
    inspected: Inspected,
    listed: ImageSummary,
    containers: Sequence[ContainerSummary],
    insecure: bool,
    check: Check,
) -> Drift:
    reference = parse_reference(listed.name)
    pulled = {
        digest.partition("@")[2]
        for digest in inspected.digests
        if digest.partition("@")[0]
        in (reference.repository, f"{reference.domain}/{reference.path}")
    }
    # An engine knows an image by its index, its manifest, or both.
    known = {*pulled, inspected.descriptor.digest} - {""} if pulled else set()
    state, remote, why = _compared(reference, listed.id, known, insecure, check)
    uses = tuple(
        (each, each.image_id in (listed.id, inspected.id, inspected.descriptor.digest))
        for each in containers
        if each.image and same_reference(each.image, listed.name)
    )
    return Drift(
        listed.name, listed.id, listed.created, state, tuple(sorted(known)), remote, why, uses
    )


def _compared(
    reference: Reference, image: str, known: set[str], insecure: bool, check: Check
) -> tuple[DriftState, str | None, str]:
    if not known:
        return DriftState.LOCAL, None, ""
    tag = reference.tag or ""
    try:
        with closing(RegistryClient(reference.domain, reference.path, insecure=insecure)) as client:
            remote = client.manifest_digest(tag, check)
            if remote is not None and remote in known:
                return DriftState.CURRENT, remote, ""
            # The engine may know the manifest of its platform, and the registry names the index.
            document = client.manifest(tag, check)
    except NotFoundError:
        return DriftState.GONE, None, ""
    except Cancelled:
        raise
    except LayerscopeError as error:
        return DriftState.UNKNOWN, None, error.message
    # What Podman pushes has another digest than what it keeps; the configuration is the same.
    same = {*known, image} & (_parts(document.data) | {document.digest})
    return (DriftState.CURRENT if same else DriftState.BEHIND), remote or document.digest, ""


def _parts(data: bytes) -> set[str]:
    """The digests of the manifests in an index, or of the configuration in a manifest."""
    with suppress(ValueError, ManifestError):
        document = go_json(data)
        if isinstance(document, dict) and "config" in document:
            return {parse_manifest(document).config.digest}
        return {each.digest for each in parse_index(document)}
    return set()
