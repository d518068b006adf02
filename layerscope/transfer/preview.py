"""Previews of what a pull would fetch and a push would send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from layerscope.engines.engine import Engine
from layerscope.engines.local_layers import local_layers
from layerscope.errors import NotFoundError
from layerscope.images.answers import Inspected
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.image import Layer
from layerscope.images.platforms import own_platform, wanted_platform
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.manifests import FoundImage, ImageFinder
from layerscope.images.registry.pull_estimate import PullEstimate, pull_estimate
from layerscope.jobs.worker import Cancellation
from layerscope.oci.distribution import RateLimit, pull_limit
from layerscope.oci.platform import Platform, parse_platform
from layerscope.oci.reference import Reference

_ID = 12  # Digits of a digest with which engines name a layer.


@dataclass(frozen=True, slots=True)
class PullPreview:
    reference: str
    digest: str  # Of the image's manifest.
    platform: Platform | None
    engine: str  # The name of the engine, or of the target file or folder.
    layers: tuple[Layer, ...]  # With their stored sizes.
    estimate: PullEstimate  # Which ones the engine has.
    up_to_date: bool  # Whether the engine has exactly this image under this name.
    limit: RateLimit | None  # The registry's limit of pulls, if it reports one.
    #: Bytes kept from an interrupted pull by layerscope's client; None for a pull by the engine.
    kept: int | None = None
    there: str = ""  # The name's digest in the registry, perhaps of an index.


@dataclass(frozen=True, slots=True)
class PushPreview:
    reference: str
    image: str  # Its id.
    engine: str
    diff_ids: tuple[str, ...]
    #: Whether the registry has each layer, judging by the current image of this name.
    present: tuple[bool, ...]
    replaces: str | None  # Digest of the other image that has this name now.
    there: str = ""  # The name's current digest there, or "".


@contextmanager
def _finder(
    reference: Reference, platform: Platform, insecure: bool, check: Check, *, exact: bool = False
) -> Iterator[tuple[ImageFinder, RegistryClient]]:
    with closing(RegistryClient(reference.domain, reference.path, insecure=insecure)) as client:
        yield (
            ImageFinder(client, reference, platform, check, DocumentCache(), exact=exact),
            client,
        )


def preview_pull(
    engine: Engine,
    reference: Reference,
    platform: str | None = None,
    *,
    insecure: bool = False,
    check: Check = no_check,
) -> PullPreview:
    """Compares an image in its registry with the engine's. Raises LayerscopeError."""
    wanted = wanted_platform(platform or engine.platform or None)
    with _finder(reference, wanted, insecure, check, exact=bool(platform)) as (finder, client):
        found = finder.find()
        name = reference.digest or reference.tag or ""
        limit = pull_limit(client.manifest_headers(name, check))
    local = local_layers(engine)
    layers = found.image.layers
    known = [(layer.diff_id, layer.stored_size or 0) for layer in layers]
    return PullPreview(
        str(reference),
        found.digest,
        own_platform(found.image),
        engine.name,
        layers,
        pull_estimate(known, local.images, by_blob=local.by_blob),
        _has(engine, reference, found),
        limit,
        there=found.top.digest,
    )


def preview_own_pull(
    engine: Engine | None,
    reference: Reference,
    platform: str | None = None,
    *,
    target: str = "",
    insecure: bool = False,
    check: Check = no_check,
) -> PullPreview:
    """Like `preview_pull`, for layerscope's client and a `target`, or else the engine."""
    # Not at the top: a pull by the engine does not need it.
    from layerscope.images.registry.kept_blobs import KeptBlobs
    from layerscope.transfer.targets import target_of

    place = target_of(target, engine, Cancellation())
    with _finder(reference, wanted_platform(platform), insecure, check, exact=bool(platform)) as (
        finder,
        client,
    ):
        found = finder.find()
        limit = pull_limit(client.manifest_headers(reference.digest or reference.tag or "", check))
    layers = found.manifest.layers
    lacks = place.lacks(found.image, layers, check)
    wanted = {each.digest: each for each, lack in zip(layers, lacks, strict=True) if lack}
    sizes = sum({each.digest: each.size for each in layers}.values())
    missing = KeptBlobs().missing(list(wanted.values()))
    kept = sum(each.size for each in wanted.values()) - missing
    estimate = PullEstimate(tuple(not lack for lack in lacks), sizes, missing)
    same = not target and engine is not None and _has(engine, reference, found)
    own = own_platform(found.image)
    return PullPreview(
        str(reference), found.digest, own, place.name, found.image.layers, estimate, same, limit,
        kept, found.top.digest,
    )  # fmt: skip


def _has(engine: Engine, reference: Reference, found: FoundImage) -> bool:
    try:
        inspected = engine.inspect(str(reference))
    except NotFoundError:
        return False
    return _is_same(inspected, found)


def _is_same(inspected: Inspected, found: FoundImage) -> bool:
    """Whether an engine's image is the one in a registry; containerd's ids are manifest digests."""
    return inspected.layers == tuple(layer.diff_id for layer in found.image.layers) and (
        found.image.id in (inspected.id, inspected.descriptor.digest)
        or any(digest.endswith(found.digest) for digest in inspected.digests)
    )


def preview_push(
    engine: Engine, reference: Reference, *, insecure: bool = False, check: Check = no_check
) -> PushPreview:
    """Compares an image of the engine with the registry's image of this name.

    Raises LayerscopeError if the engine has no such image, or the registry does not answer.
    """
    inspected = engine.inspect(str(reference))
    mine = inspected.layers
    theirs: tuple[str, ...] = ()
    replaces, there = None, ""
    platform = parse_platform(f"{inspected.os or 'linux'}/{inspected.full_architecture or 'amd64'}")
    with _finder(reference, platform, insecure, check) as (finder, _):
        try:
            found = finder.find()
        except NotFoundError:
            pass  # The name, or even the repository, does not exist yet.
        else:
            theirs = tuple(layer.diff_id for layer in found.image.layers)
            replaces = None if _is_same(inspected, found) else found.digest
            there = found.top.digest
    present = tuple(diff_id in theirs for diff_id in mine)
    return PushPreview(str(reference), inspected.id, engine.name, mine, present, replaces, there)


def preview_own_push(
    source: str,
    reference: Reference,
    *,
    insecure: bool,
    warn: Callable[[str], object],
) -> PushPreview:
    """Like `preview_push`, for layerscope's client: checks the registry for each layer.

    For `warn`, see `opened_source`.
    """
    from layerscope.transfer.push_sources import opened_source
    from layerscope.transfer.registry_push import layers_there

    client = RegistryClient(reference.domain, reference.path, insecure=insecure)
    with closing(client), opened_source(source, None, no_check, warn) as (image, _):
        there = layers_there(client, image, reference)
        now = client.manifest_digest(reference.tag or "")
        replaces = None if now == image.top.digest else now
        return PushPreview(
            str(reference),
            image.config.digest,
            source,
            tuple(there),
            tuple(there.values()),
            replaces,
        )


def layer_sizes(
    reference: Reference, platform: str, insecure: bool, check: Check
) -> dict[str, int]:
    """Returns the sizes of an image's layers in its registry, by the id that engines show."""
    with _finder(reference, wanted_platform(platform or None), insecure, check) as (finder, _):
        layers = finder.find().image.layers
    return {
        layer.digest.partition(":")[2][:_ID]: layer.stored_size
        for layer in layers
        if layer.digest is not None and layer.stored_size is not None
    }
