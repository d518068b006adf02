"""Drift: which images are behind their registry, and which containers run older ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from enum import Enum

from layerscope.engines.engine import ContainerSummary, Engine
from layerscope.errors import Cancelled, LayerscopeError, NotFoundError, failures_ignored
from layerscope.images.answers import Inspected
from layerscope.images.archives.save_format import same_reference
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.manifests import ImageFinder
from layerscope.images.summary import ImageSummary, unix_time
from layerscope.oci.manifest import ManifestError, parse_index, parse_manifest
from layerscope.oci.platform import Platform, host_platform
from layerscope.oci.reference import Reference, parse_reference
from layerscope.records import go_json
from layerscope.text import visible

_ID = re.compile("(?:sha256:)?[0-9a-f]{12,64}")
_AT_ONCE = 4  # Requests at a time.


class DriftState(Enum):
    CURRENT = "current"
    BEHIND = "behind"  # The registry has another image under this name.
    GONE = "gone"  # The registry has no such name any more.
    LOCAL = "local"  # It was neither pulled nor pushed, so there is nothing to compare.
    UNKNOWN = "unknown"  # It could not be checked.


@dataclass(frozen=True, slots=True)
class Drift:
    reference: str
    id: str  # The image's id in the engine.
    created: int  # Unix time.
    state: DriftState
    local: tuple[str, ...] = ()  # The digests that the image may have in registries.
    remote: str | None = None  # Digest of the name in the registry now.
    remote_created: int | None = None  # Its creation time, if it is another image.
    why: str = ""  # Why it is unknown.
    #: Containers of this name, and whether they run the name's local image.
    containers: tuple[tuple[ContainerSummary, bool], ...] = ()

    @property
    def seconds_behind(self) -> int | None:
        """How much newer the registry's image is; None if unknown."""
        if self.remote_created is None or self.created <= 0:
            return None
        return max(0, self.remote_created - self.created)

    @property
    def is_behind(self) -> bool:
        """Whether there is something to do: pull, or recreate a container."""
        return self.state is DriftState.BEHIND or any(not new for _, new in self.containers)


class DriftFinder:
    """Compares images of an engine, some or all with a name, with their registries.

    Raises LayerscopeError if the engine does not answer or has no image of a name.
    """

    def __init__(self, engine: Engine, names: Sequence[str] = ()) -> None:
        listed = [each for each in engine.images() if each.name]
        self.images = list(_named(listed, names)) if names else listed
        self._engine = engine

    def compare(self, *, insecure: bool = False, check: Check = no_check) -> Iterator[Drift]:
        """Compares them in parallel, and yields each result as soon as it is known.

        Requests only digests, which do not count as pulls, unless a digest differs.
        """
        engine = self._engine
        containers = [_with_given_name(engine, each) for each in engine.containers()]
        ids = dict.fromkeys(each.id for each in self.images)
        inspected = {each: engine.inspect(each) for each in ids}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            asked = [
                pool.submit(_drift_of, inspected[each.id], each, containers, insecure, check)
                for each in self.images
            ]
            for each in as_completed(asked):
                yield each.result()


def find_drift(engine: Engine, names: Sequence[str] = (), *, insecure: bool = False) -> list[Drift]:
    """Returns the results of a `DriftFinder`, in the order of the engine's list or of the names."""
    finder = DriftFinder(engine, names)
    found = {each.reference: each for each in finder.compare(insecure=insecure)}
    return [found[each.name] for each in finder.images]


def _with_given_name(engine: Engine, container: ContainerSummary) -> ContainerSummary:
    """Returns a container with its image's name, for which engines list the id if it has moved."""
    if container.image and not _ID.fullmatch(container.image):
        return container
    with failures_ignored():  # It may be gone.
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
    answer = _Answer(DriftState.LOCAL)
    if known:
        answer = _asked(reference, {*known, listed.id}, _platform_of(inspected), insecure, check)
    uses = tuple(
        (each, each.image_id in (listed.id, inspected.id, inspected.descriptor.digest))
        for each in containers
        if each.image and same_reference(each.image, listed.name)
    )
    return Drift(
        listed.name,
        listed.id,
        listed.created,
        answer.state,
        tuple(sorted(known)),
        answer.remote,
        answer.created,
        answer.why,
        uses,
    )


def _platform_of(inspected: Inspected) -> Platform:
    if not inspected.os or not inspected.architecture:
        return host_platform()
    return Platform(inspected.os, *inspected.full_architecture.split("/", 1))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A registry's answer about a name."""

    state: DriftState
    remote: str | None = None
    created: int | None = None
    why: str = ""


def _asked(
    reference: Reference, known: set[str], platform: Platform, insecure: bool, check: Check
) -> _Answer:
    documents = DocumentCache()
    try:
        with closing(RegistryClient(reference.domain, reference.path, insecure=insecure)) as client:
            remote = client.manifest_digest(reference.tag or "", check)
            if remote is not None and remote in known:
                return _Answer(DriftState.CURRENT, remote)
            # The engine may know the platform's manifest while the registry has the index.
            data = None if remote is None else documents.get(remote)
            if data is None:
                document = client.manifest(reference.tag or "", check)
                data, remote = document.data, document.digest
                documents.put(remote, data)
            # Podman pushes another digest than it stores, with the same configuration.
            if known & {*_parts(data), remote}:
                return _Answer(DriftState.CURRENT, remote)
            newer = replace(reference, tag=None, digest=remote)
            created = 0
            with failures_ignored():
                found = ImageFinder(client, newer, platform, check, documents).find()
                created = unix_time(found.image.created or "")
            return _Answer(DriftState.BEHIND, remote, int(created) if created > 0 else None)
    except NotFoundError:
        return _Answer(DriftState.GONE)
    except Cancelled:
        raise
    except LayerscopeError as error:
        return _Answer(DriftState.UNKNOWN, why=error.message)


def _parts(data: bytes) -> set[str]:
    """Returns the digests of the manifests in an index, or of the config in a manifest."""
    with suppress(ValueError, ManifestError):
        document = go_json(data)
        if isinstance(document, dict) and "config" in document:
            return {parse_manifest(document).config.digest}
        return {each.digest for each in parse_index(document)}
    return set()
