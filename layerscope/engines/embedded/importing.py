"""Imports images into the embedded store from all readable sources."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Literal, Self

from layerscope.engines.embedded.contents import PULLED, give_name
from layerscope.engines.embedded.store import Lease, Read, Store
from layerscope.errors import BadInputError, LayerscopeError
from layerscope.images.image import missing_text
from layerscope.images.progress import Progress
from layerscope.images.reader import LayerTars
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.config import ConfigError, parse_config
from layerscope.oci.manifest import OCI_LAYERS, Descriptor
from layerscope.oci.reference import Reference
from layerscope.oci.tar_header import TarError
from layerscope.records import go_json
from layerscope.text import visible

LayerState = Literal["exists", "downloading", "done"]
#: Receives the diff_id of a layer, "" while unknown; its state; and the bytes received.
OnLayer = Callable[[str, LayerState, int], object]


def add_tar(lease: Lease, read: Read, wanted: Container[str] | None = None) -> tuple[str, int]:
    """Adds a layer's tar, as `Lease.add`, and caches its changeset on the way."""
    # Not at the top: it imports numpy, and few imports of this module add a layer.
    from layerscope.filesystem.tar_changeset import read_changeset
    from layerscope.images.cache.changesets import ChangesetCache

    changeset = None

    def look(read: Read) -> None:
        nonlocal changeset
        # Errors in a tar are reported when its image is opened.
        with suppress(TarError, TruncatedError):
            changeset = read_changeset(Stream(read))

    diff_id, size = lease.add(read, wanted, look)
    if changeset is not None and (wanted is None or diff_id in wanted):
        ChangesetCache().put(diff_id, changeset)
    return diff_id, size


class Importer:
    """An import of an image: first its layers, then the rest under its name.

    Keeps added and claimed blobs during the block; those without an image are then garbage, which
    the next attempt can still use.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held = store.lease()
        self.sizes: dict[str, int] = {}  # Of present layers, by diff_id.

    def __enter__(self) -> Self:
        self._lease = self._held.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.__exit__(kind, error, trace)

    def has(self, diff_id: str) -> bool:
        """Whether a layer is present; if so, protects it."""
        if diff_id not in self.sizes:
            size = self._lease.claim(diff_id)
            if size is None:
                return False
            self.sizes[diff_id] = size
        return True

    def add_layer(self, read: Read, wanted: Sequence[str] | set[str]) -> str:
        """Adds an uncompressed layer if its diff_id is wanted; returns the diff_id."""
        diff_id, size = add_tar(self._lease, read, wanted)
        if diff_id in wanted:
            self.sizes[diff_id] = size
        return diff_id

    def finish(
        self, document: bytes, reference: Reference | None, source: str, pulled: str = ""
    ) -> str:
        """Adds the image of a configuration, and returns its id: the configuration's digest.

        `source` is its origin, for errors, and `pulled` its `NAME@DIGEST` in a registry. Raises
        LayerscopeError if a layer is missing.
        """
        try:
            image = parse_config(go_json(document))
        except (ConfigError, ValueError):
            problem = "it does not hold the image's configuration"
            raise BadInputError(visible(source), None, problem, "Save it, and load that.") from None
        for index, diff_id in enumerate(image.diff_ids):
            if not self.has(diff_id):
                problem = f"layer {index} is not the one that the configuration names"
                raise BadInputError(visible(source), None, f"{problem}, {visible(diff_id)}")
        layers = [
            Descriptor(OCI_LAYERS[None], diff_id, self.sizes[diff_id], {})
            for diff_id in image.diff_ids
        ]
        both = image.os and image.architecture
        platform = f"{image.os}/{image.architecture}" if both else None
        identifier, manifest = self._lease.add_image(document, layers, platform)
        entry = manifest.document
        if pulled:
            entry["annotations"] = {PULLED: pulled}
        with self._store.changed() as change:
            give_name(change.entries, entry, reference)
        return identifier


def import_image(
    store: Store,
    reader: LayerTars,
    reference: Reference | None,
    progress: Progress,
    on_layer: OnLayer = lambda *_: None,
    pulled: str = "",
) -> str:
    """Adds an image under a name, or none, and returns its id.

    `pulled` is its `NAME@DIGEST` in a registry.

    Skips layers that the store has, and verifies the others by their diff_ids.

    Raises LayerscopeError if the image is incomplete or damaged, or the disk is full; complete
    layers stay for the next attempt.
    """
    image = reader.image
    with Importer(store) as importer:
        wanted = {layer.diff_id for layer in image.layers if not importer.has(layer.diff_id)}
        if any(layer.diff_id in wanted for layer in image.missing):
            raise LayerscopeError(f"{missing_text(image)} The store does not have them, either.")
        for diff_id, size in importer.sizes.items():
            on_layer(diff_id, "exists", size)
        # Some sources know the configuration only after reading everything.
        if wanted or not image.document:
            for meant, read in reader.tars(progress, wanted):
                watched = _watched(read, progress, partial(on_layer, meant, "downloading"))
                diff_id = importer.add_layer(watched, wanted)
                if diff_id in wanted:
                    on_layer(diff_id, "done", importer.sizes[diff_id])
        return importer.finish(reader.image.document, reference, image.source, pulled)


def _watched(read: Read, progress: Progress, report: Callable[[int], object]) -> Read:
    before = progress.done
    done = 0

    def watched(size: int) -> bytes:
        nonlocal done
        piece = read(size)
        done += len(piece)
        progress.advance(before + done)
        report(done)
        return piece

    return watched
