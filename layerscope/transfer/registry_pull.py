"""A pull by layerscope's client: layers in parallel, each resumed after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from layerscope.images.archives.writing import Blob, PackedImage
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.platforms import wanted_platform
from layerscope.images.registry.client import Check, RegistryClient
from layerscope.images.registry.kept_blobs import Fetch, KeptBlobs, State
from layerscope.images.registry.known_blobs import KnownBlobs
from layerscope.images.registry.manifests import FoundImage, ImageFinder
from layerscope.images.registry.transport import Patience
from layerscope.jobs.worker import Cancellation
from layerscope.oci.manifest import Descriptor
from layerscope.oci.reference import Reference
from layerscope.text import short_id, visible
from layerscope.transfer.events import ENDED
from layerscope.transfer.named_images import warn_if_moved
from layerscope.transfer.parallel import in_parallel
from layerscope.transfer.places import Target
from layerscope.transfer.recorder import Recorder, row_of
from layerscope.transfer.request import TransferRequest

#: Survives a registry that restarts, or a network that is down for a minute.
PATIENCE = Patience(tries=8)


def pull_by_registry(
    references: Iterable[Reference],
    request: TransferRequest,
    target: Target,
    recorder: Recorder,
    cancellation: Cancellation,
) -> tuple[str, str]:
    """Pulls images of one repository; returns the id of the last, and their location.

    On failure, raises LayerscopeError and leaves the target unchanged.
    """
    # Left open on errors: threads may still write to it.
    kept = KeptBlobs()
    name = ""
    for reference in references:
        recorder.started(str(reference))
        client = RegistryClient(
            reference.domain, reference.path, patience=PATIENCE, insecure=request.insecure
        )
        with closing(client):
            image = _Pull(client, reference, request, target, recorder, cancellation)
            warn_if_moved(reference, request, recorder)
            name = target.put(image.packed(kept), reference)
            image.warn_if_moved()
    where = target.finish()
    kept.forget()
    return name, where


class _Pull:
    def __init__(
        self,
        client: RegistryClient,
        reference: Reference,
        request: TransferRequest,
        target: Target,
        recorder: Recorder,
        cancellation: Cancellation,
    ) -> None:
        """Finds the image in its registry."""
        self._client = client
        self._reference = reference
        self._target = target
        self._recorder = recorder
        self._known = KnownBlobs()
        self._cancellation = cancellation
        finder = ImageFinder(
            client,
            reference,
            wanted_platform(request.platform or None),
            cancellation.check,
            DocumentCache(),
            exact=bool(request.platform),
        )
        self._found = finder.find()
        recorder.digest = self._found.top.digest

    def packed(self, kept: KeptBlobs) -> PackedImage:
        """Returns the image with all blobs that the target needs, verified."""
        found = self._found
        layers = found.manifest.layers
        needed = self._target.lacks(found.image, layers, self._cancellation.check)
        wanted = {each.digest: each for each, lacks in zip(layers, needed, strict=True) if lacks}
        for each in {layer.digest: layer for layer in layers}.values():
            self._recorder.layer(
                row_of(each.digest), "waiting" if each.digest in wanted else "exists"
            )
        kept.check_space(list(wanted.values()))
        # The largest first, so that none of them is left over at the end.
        largest = sorted(wanted.values(), key=lambda each: each.size, reverse=True)
        fetched = in_parallel([self._fetch(kept, each) for each in largest], self._cancellation)
        blobs = {blob.digest: blob for blob in fetched}
        whole = self._target.whole_index()
        return packed_image(found, [blobs[each] for each in wanted], whole_index=whole)

    def _fetch(self, kept: KeptBlobs, layer: Descriptor) -> Callable[[Check], Blob]:
        row = row_of(layer.digest)

        unpacks = self._target.unpacks

        def report(state: State, current: int, text: str) -> None:
            now = "extracting" if unpacks and state in ENDED else state
            self._recorder.layer(row, now, current, layer.size, text or None)

        def fetch(check: Check) -> Blob:
            what = f"layer {short_id(layer.digest)}"
            blob = kept.fetch(Fetch(self._client, layer, what, report, check))
            # A push to another repository there can then mount it.
            self._known.seen(self._client.domain, self._client.repository, layer.digest)
            if unpacks:
                self._target.unpack(blob, str(self._reference), check)
                kept.drop(blob.digest)
                self._recorder.layer(row, "done")
            return blob

        return fetch

    def warn_if_moved(self) -> None:
        """Warns if the tag now names another image."""
        reference = self._reference
        if reference.digest is not None or reference.tag is None:
            return
        now = self._client.manifest_digest(reference.tag, self._cancellation.check)
        if now is not None and now != self._found.top.digest:
            self._recorder.warning(
                f"{visible(str(reference))} was pushed again meanwhile and is "
                f"{short_id(now)} now: pull again for that."
            )


def packed_image(
    found: FoundImage, layers: Sequence[Blob], *, whole_index: bool = False
) -> PackedImage:
    """Returns a registry's image with its layer blobs; with `whole_index`, inside its index."""
    top = found.top if whole_index else found.own
    documents = [top, found.own, found.manifest.config]
    blobs = {each.digest: Blob.of(each, found.documents[each.digest]) for each in documents}
    return PackedImage(
        top, (*blobs.values(), *layers), found.manifest.config, found.manifest.layers
    )
