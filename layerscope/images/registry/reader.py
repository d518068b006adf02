"""`docker://HOST/NAME`: an image in a registry, inspected without an engine and without a pull.

Layers are streamed through the decompressor and the tar scanner, a few at a time; only their
changesets are kept. Layers with a table of contents are listed from it, with range requests. A
*foreign* layer (nondistributable, such as the base of Windows images) is requested like any other;
if the registry does not have it, it is shown as missing, since layerscope does not follow the
addresses in the manifest.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from layerscope.errors import Cancelled, LayerscopeError, RegistryError, UsageError, closed_on_error
from layerscope.filesystem.changeset import Changeset
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.image import Image, with_missing
from layerscope.images.layer_stream import Passed, Read, tar_reader
from layerscope.images.pieces import Piece
from layerscope.images.platforms import wanted_platform
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known, Wanted
from layerscope.images.registry.blobs import BlobStream
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.layers import (
    read_blob_layer,
    toc_content,
    whole_content,
    whole_contents,
)
from layerscope.images.registry.manifests import ImageFinder
from layerscope.images.registry.toc import TocLayer, toc_digest
from layerscope.oci.manifest import FOREIGN, Descriptor
from layerscope.oci.reference import parse_reference
from layerscope.oci.toc import TocError
from layerscope.text import short_id, visible

PREFIX = "docker://"

#: Layers to fetch in parallel, as many as Docker does: more only slow each other down.
_PARALLEL = 3
#: Seconds between two checks for cancellation while nothing arrives.
_TICK = 0.1


@dataclass(slots=True)
class _Task:
    """A layer to fetch."""

    descriptor: Descriptor  # Its blob.
    indices: list[int]  # Its numbers; an image may contain a layer twice.
    done: int = 0  # Bytes read so far.
    blob: BlobStream | None = None  # The current transfer.
    by_toc: bool = False  # Whether only its table of contents was read.
    missing: _ForeignLayerError | None = None  # The error if the registry does not have it.


class _ForeignLayerError(RegistryError):
    """A foreign layer that the registry does not have."""


class RegistryReader(ImageReader):
    way = "registry"
    fetches = True

    def __init__(
        self,
        source: str,
        progress: Progress | None = None,
        *,
        platform: str | None = None,
        documents: DocumentCache | None = None,
        insecure: bool = False,
        client: RegistryClient | None = None,
    ) -> None:
        """Finds the image `docker://HOST/NAME[:TAG][@DIGEST]`; fetches no layer yet.

        `insecure` allows a registry without TLS or with an invalid certificate, even if this
        machine's settings do not. Raises LayerscopeError if there is no such image or it cannot be
        read.
        """
        try:
            reference = parse_reference(source.removeprefix(PREFIX))
        except ValueError:
            raise UsageError(
                f"{visible(source)} does not name an image in a registry.",
                "Write it as docker://HOST/NAME:TAG.",
            ) from None
        wanted = wanted_platform(platform)
        progress = progress or Progress()
        progress.what = f"Asking {reference.domain}"
        if client is None:
            client = RegistryClient(reference.domain, reference.path, insecure=insecure)
        self._client = client
        with closed_on_error(self.close):
            exact = platform is not None
            found = ImageFinder(
                client, reference, wanted, progress.check, documents, exact=exact
            ).find()
        self.image: Image = found.image
        self.digest = found.digest  # Digest of its manifest.
        #: Numbers of layers that were read in full and match the manifest's digest and the
        #: configuration's diff_id.
        self.verified: set[int] = set()
        self._layers: Sequence[Descriptor] = found.manifest.layers

    def cache_key(self, layer: int) -> str | None:
        """The blob's digest, which is verified whenever the blob is read.

        The diff_id is not a key: until the layer has been read, the configuration merely claims
        it. If the layer may be listed from its table of contents, the key includes the table's
        digest, which is verified too.
        """
        descriptor = self._layers[layer]
        toc = toc_digest(descriptor)
        return f"blob {descriptor.digest}" + (f" toc {toc}" if toc else "")

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Layers as they arrive, roughly from the base up; see `ImageReader.changesets`.

        Closing the generator ends the transfers.
        """
        progress.what = f"Fetching layers from {self.image.reference}"
        tasks: dict[str, _Task] = {}
        for index, descriptor in enumerate(self._layers):
            if index not in known:
                task = tasks.setdefault(descriptor.digest, _Task(descriptor, []))
                task.indices.append(index)
        progress.total = sum(task.descriptor.size for task in tasks.values())
        work = _Work(self, list(tasks.values()))
        missing: dict[int, str] = {}
        by_toc = 0
        try:
            for task, changeset in work.results(progress.advance):
                if task.missing is not None:
                    missing |= dict.fromkeys(task.indices, FOREIGN)
                    self.image = with_missing(self.image, missing, [x.size for x in self._layers])
                elif task.by_toc:
                    by_toc += len(task.indices)
                    total = len(self._layers)
                    self.way = f"registry, {by_toc} of {total} layers by their table of contents"
                else:
                    self.verified.update(task.indices)
                for index in task.indices:
                    yield index, changeset
        finally:
            work.stop()

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]:
        """See `ImageReader.content`; fetches no more of the layer than needed."""
        descriptor, what = self._layers[layer], self._what(layer)
        if toc_digest(descriptor):
            given = False
            try:
                toc = TocLayer(self._client, descriptor, what, no_check)
                for piece in toc_content(toc, changeset, row, what):
                    given = True
                    yield piece
            except (TocError, RegistryError):
                if given:
                    raise
            else:
                return
        with closing(self._blob(layer)) as blob:
            again = partial(self._read_whole, layer, no_check, None)
            yield from whole_content(blob, again, changeset, row, self._name(), what)

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """See `ImageReader.contents`; fetches each layer once."""
        for layer, (changeset, rows) in wanted.items():
            descriptor, what = self._layers[layer], self._what(layer)
            placed = changeset.data_offsets >= 0
            streamed = [row for row in rows if placed[row] and not toc_digest(descriptor)]
            passed = set(streamed)
            ranges = [row for row in rows if row not in passed]
            yield from self.one_by_one(layer, changeset, ranges)
            if streamed:
                with closing(self._blob(layer)) as blob:
                    yield from whole_contents(layer, blob, changeset, streamed, self._name(), what)

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        for layer in self.image.layers:
            if layer.diff_id in wanted:
                name = f"{self._name()}, {self._what(layer.index)}"
                with closing(self._blob(layer.index, progress.check)) as blob:
                    yield layer.diff_id, tar_reader(blob.read, name, layer.diff_id)
                    blob.verify()

    def close(self) -> None:
        self._client.close()

    def fetch(self, task: _Task, check: Check) -> Changeset:
        """Reads a layer, from its table of contents if it has one."""
        index = task.indices[0]
        what = self._what(index)
        if toc_digest(task.descriptor):
            try:
                found = TocLayer(self._client, task.descriptor, what, check).changeset()
            except (TocError, RegistryError):
                pass
            else:
                task.by_toc = True
                task.done = task.descriptor.size
                return found
        try:
            changeset = self._read_whole(index, check, task)
        except _ForeignLayerError as error:
            task.missing = error
            return Changeset.empty()
        task.done = task.descriptor.size
        return changeset

    def _read_whole(self, index: int, check: Check, task: _Task | None) -> Changeset:
        def on_bytes(position: int) -> None:
            if task is not None:
                task.done = position

        with closing(self._blob(index, check, on_bytes)) as blob:
            if task is not None:
                task.blob = blob
            diff_id = self.image.layers[index].diff_id
            return read_blob_layer(blob, diff_id, self._name(), self._what(index), check)

    def _blob(
        self, layer: int, check: Check = no_check, on_bytes: Callable[[int], None] | None = None
    ) -> BlobStream:
        return BlobStream(
            self._client,
            self._layers[layer],
            self._what(layer),
            check=check,
            missing=self._missing(layer),
            on_bytes=on_bytes,
        )

    def _name(self) -> str:
        return visible(self.image.reference)

    def _what(self, index: int) -> str:
        return f"layer {index} ({short_id(self._layers[index].digest)})"

    def _missing(self, index: int) -> LayerscopeError | None:
        """The error for a layer that the registry does not have."""
        if self._layers[index].foreign:
            return _ForeignLayerError(
                f"Layer {index} of {self._name()} is foreign: its license keeps it out of the "
                "registry.",
                "Pull the image with an engine, and open it there.",
            )
        return RegistryError(
            f"{visible(self._client.domain)} has no {self._what(index)} of {self._name()} (404).",
            "The image is incomplete there: push it again.",
        )


class _Work:
    """Threads that fetch layers.

    They are daemons and nothing waits for them after a stop, so that the program does not wait for
    a silent registry when it exits.
    """

    def __init__(self, reader: RegistryReader, tasks: list[_Task]) -> None:
        self._reader = reader
        self._tasks = tasks
        self._waiting: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[_Task, Changeset | BaseException]]
        self._results = queue.SimpleQueue()
        self._stopped = threading.Event()
        for task in tasks:
            self._waiting.put(task)
        for number in range(min(_PARALLEL, len(tasks))):
            threading.Thread(target=self._run, name=f"layer {number}", daemon=True).start()

    def results(self, advance: Callable[[int], None]) -> Iterator[tuple[_Task, Changeset]]:
        """The layers in order of completion; raises LayerscopeError."""
        for _ in range(len(self._tasks)):
            while True:
                advance(sum(task.done for task in self._tasks))
                try:
                    task, result = self._results.get(timeout=_TICK)
                    break
                except queue.Empty:
                    continue
            if isinstance(result, BaseException):
                raise result
            yield task, result
        advance(sum(task.descriptor.size for task in self._tasks))

    def stop(self) -> None:
        self._stopped.set()
        for task in self._tasks:
            if task.blob is not None:
                task.blob.abort()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                task = self._waiting.get_nowait()
            except queue.Empty:
                return
            result: Changeset | BaseException
            try:
                result = self._reader.fetch(task, self._check)
            except BaseException as error:
                # `results` raises it.
                result = error
            self._results.put((task, result))

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Cancelled
