"""`docker://HOST/NAME`: an image in a registry, looked at without an engine and without a pull.

Layers are streamed through the decompressor and the tar scanner, a few at a time; nothing of them
is kept in memory or on disk but the changesets. Layers that carry a table of contents are listed by
it, with range requests. A layer that is *foreign* (nondistributable, as the base of Windows images)
is asked for like any other; where the registry does not have it, it is shown as missing, since the
addresses in the manifest are not ours to follow.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from layerscope.errors import Cancelled, LayerscopeError, RegistryError, UsageError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.document_cache import DocumentCache
from layerscope.images.image import Image, with_missing
from layerscope.images.insecure_registries import is_insecure
from layerscope.images.passing import Passed, Wanted, one_by_one
from layerscope.images.platforms import wanted_platform
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.images.registry_blob import BlobStream, NoRangesError
from layerscope.images.registry_client import Check, RegistryClient, no_check
from layerscope.images.registry_content import toc_content, whole_content, whole_contents
from layerscope.images.registry_image import find_image
from layerscope.images.registry_layer import read_blob_layer
from layerscope.images.registry_toc import TocLayer, toc_digest
from layerscope.oci.manifest import FOREIGN, Descriptor
from layerscope.oci.reference import parse_reference
from layerscope.oci.toc import TocError
from layerscope.text import short_id, visible

PREFIX = "docker://"

#: Layers that are fetched at a time. Docker's number: more only make each other slower.
_PARALLEL = 3
#: How often the wish to stop is looked for while nothing arrives, in seconds.
_TICK = 0.1


@dataclass(slots=True)
class _Task:
    """A layer to fetch.

    Attributes:
        descriptor: Its blob.
        indices: Its numbers: an image may have a layer twice.
        done: How many of its bytes lie behind.
        blob: The transfer that runs now.
        missing: Why it is not there, after it was asked for; None if it is.
    """

    descriptor: Descriptor
    indices: list[int]
    done: int = 0
    blob: BlobStream | None = None
    missing: _ForeignLayerError | None = None


class _ForeignLayerError(RegistryError):
    """A foreign layer that the registry does not have."""


class RegistryReader:
    """An image in a registry.

    Attributes:
        image: The image.
        digest: Digest of its manifest.
        stored_sizes: How many bytes each layer has in the registry.
        verified: Numbers of layers that were read whole, whose bytes have the digest of the
            manifest and the diff_id of the configuration.
    """

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
        """Finds the image; no layer is fetched yet.

        Args:
            source: `docker://HOST/NAME[:TAG][@DIGEST]`.
            progress: Asked whether to stop.
            platform: `os/arch[/variant]`, where the image has several; None for this host's.
            documents: Where manifests and configurations are taken from, and kept.
            insecure: Whether the registry may be read without TLS, or with a certificate that is
                not valid, where this machine's settings do not say so already.
            client: Talks to the registry, if not the usual one.

        Raises:
            LayerscopeError: There is no such image, or it cannot be read.
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

        def check() -> None:
            progress.advance(progress.done)

        if client is None:
            insecure = insecure or is_insecure(reference.domain, reference.path)
            client = RegistryClient(reference.domain, reference.path, insecure=insecure)
        self._client = client
        try:
            found = find_image(
                self._client, reference, wanted, check, documents, exact=platform is not None
            )
        except BaseException:
            self.close()
            raise
        self.image: Image = found.image
        self.digest = found.digest
        self.stored_sizes: tuple[int, ...] = tuple(layer.size for layer in found.manifest.layers)
        self.verified: set[int] = set()
        self._layers: Sequence[Descriptor] = found.manifest.layers
        self._by_toc: set[int] = set()

    @property
    def way(self) -> str:
        """How the image is read, and how many layers by their table of contents alone."""
        if not self._by_toc:
            return "registry"
        count, total = len(self._by_toc), len(self._layers)
        return f"registry, {count} of {total} layers by their table of contents"

    def cache_key(self, layer: int) -> str | None:
        """The digest of the blob, which is verified whenever the blob is read.

        The diff_id is no key here: until the layer has been read it is but the word of whoever
        wrote the configuration. A layer that may be listed by its table of contents is also known
        by the digest of that, which is verified then.
        """
        descriptor = self._layers[layer]
        toc = toc_digest(descriptor)
        return f"blob {descriptor.digest}" + (f" toc {toc}" if toc else "")

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Layers as they arrive, the lowest first as far as may be; see `ImageReader.changesets`.

        A generator that is left early ends the transfers.
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
        try:
            for task, changeset in work.results(progress.advance):
                if task.missing is not None:
                    missing |= dict.fromkeys(task.indices, FOREIGN)
                    if len(missing) == len(self._layers):
                        raise task.missing
                    self.image = with_missing(self.image, missing, self.stored_sizes)
                for index in task.indices:
                    yield index, changeset
        finally:
            work.stop()

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file, for which no more of the layer is fetched than need be."""
        descriptor, what = self._layers[layer], self._what(layer)
        if toc_digest(descriptor):
            given = False
            try:
                toc = TocLayer(self._client, descriptor, what, no_check)
                for piece in toc_content(toc, changeset, row, what):
                    given = True
                    yield piece
            except (TocError, NoRangesError):
                if given:
                    raise
            else:
                return
        blob = BlobStream(self._client, descriptor, what, missing=self._missing(layer))
        try:
            yield from whole_content(
                blob,
                lambda: self._read_whole(layer, no_check, None),
                changeset,
                row,
                self._name(),
                what,
            )
        finally:
            blob.close()

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files, each layer fetched once; see `PassingReader.contents`."""
        for layer, (changeset, rows) in wanted.items():
            descriptor, what = self._layers[layer], self._what(layer)
            placed = changeset.data_offsets >= 0
            streamed = [row for row in rows if placed[row] and not toc_digest(descriptor)]
            passed = set(streamed)
            ranges = [row for row in rows if row not in passed]
            yield from one_by_one(layer, changeset, ranges, self.content)
            if streamed:
                blob = BlobStream(self._client, descriptor, what, missing=self._missing(layer))
                try:
                    yield from whole_contents(layer, blob, changeset, streamed, self._name(), what)
                finally:
                    blob.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def fetch(self, task: _Task, check: Check) -> Changeset:
        """Reads a layer, by its table of contents if it has one."""
        index = task.indices[0]
        what = self._what(index)
        if toc_digest(task.descriptor):
            try:
                found = TocLayer(self._client, task.descriptor, what, check).changeset()
            except (TocError, NoRangesError):
                pass
            else:
                self._by_toc.update(task.indices)
                task.done = task.descriptor.size
                return found
        try:
            changeset = self._read_whole(index, check, task)
        except _ForeignLayerError as error:
            task.missing = error
            return Changeset.empty()
        self.verified.update(task.indices)
        task.done = task.descriptor.size
        return changeset

    def _read_whole(self, index: int, check: Check, task: _Task | None) -> Changeset:
        def on_bytes(position: int) -> None:
            if task is not None:
                task.done = position

        blob = BlobStream(
            self._client,
            self._layers[index],
            self._what(index),
            check=check,
            missing=self._missing(index),
            on_bytes=on_bytes,
        )
        if task is not None:
            task.blob = blob
        try:
            return read_blob_layer(
                blob, self.image.layers[index].diff_id, self._name(), self._what(index), check
            )
        finally:
            blob.close()

    def _name(self) -> str:
        return visible(self.image.reference)

    def _what(self, index: int) -> str:
        return f"layer {index} ({short_id(self._layers[index].digest)})"

    def _missing(self, index: int) -> LayerscopeError | None:
        """What to say of a layer that the registry does not have."""
        if self._layers[index].foreign:
            return _ForeignLayerError(
                f"Layer {index} of {self._name()} is foreign: its license keeps it out of the "
                "registry.",
                "Pull the image where it may be had, and read it from the engine.",
            )
        return RegistryError(
            f"{visible(self._client.domain)} has no {self._what(index)} of {self._name()} (404).",
            "The image is incomplete there: push it again.",
        )


class _Work:
    """Threads that fetch layers.

    They are daemons, and nobody waits for them where the work is stopped: a program that ends does
    not wait for a registry that is silent.
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
        """The layers, in the order in which they are done.

        Raises:
            LayerscopeError: One could not be read.
        """
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
        """Ends what still runs."""
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
                # It is raised where the layer is waited for.
                result = error
            self._results.put((task, result))

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Cancelled
