"""Writes layers to the embedded store while reading their files, and reads them."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from layerscope.build.embedded.archives import temporary_file
from layerscope.build.embedded.image_source import ImageSource, stored_content
from layerscope.build.embedded.sources import Pieces
from layerscope.build.embedded.state import StoredLayer
from layerscope.engines.embedded.importing import add_tar
from layerscope.engines.embedded.store import Lease, Store
from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.oci.byte_source import FileRange, TruncatedError
from layerscope.oci.compression import CompressionError, compression_of, decompressed
from layerscope.oci.tar_header import TarError

_AHEAD = 8  # Pieces to read ahead of writing.
_PIECE = 1 << 20
_TICK = 0.2  # Seconds between checks whether the layer is still wanted.

Check = Callable[[], None]


def add_layer(lease: Lease, pieces: Iterator[bytes | bytearray], check: Check) -> tuple[str, int]:
    """Adds a layer to the store; returns its diff_id and size.

    Reads files in a thread while hashing and writing. Raises what reading raises, and
    LayerscopeError if writing fails.
    """
    ahead: queue.Queue[bytes | bytearray | BaseException] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: bytes | bytearray | BaseException) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                ahead.put(item, timeout=_TICK)
                return

    def work() -> None:
        try:
            for piece in pieces:
                check()
                put(piece)
                if stopped.is_set():
                    return
            put(b"")
        except BaseException as error:
            put(error)

    def read(_: int) -> bytes:
        item = ahead.get()
        if isinstance(item, BaseException):
            raise item
        return item  # type: ignore[return-value]

    thread = threading.Thread(target=work, name="layerscope-files", daemon=True)
    thread.start()
    try:
        return add_tar(lease, read)
    finally:
        stopped.set()
        thread.join()


@dataclass(slots=True)
class Layers:
    """The layers of the store, opened once for a whole build."""

    store: Store
    _open: dict[str, tuple[int, IO[bytes] | None]] = field(default_factory=dict)
    _changesets: dict[str, Changeset] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def source(self, layers: Sequence[StoredLayer], key: str) -> ImageSource:
        """Returns the merged view of layers."""
        stack = self.stack(layers)

        def read(layer: int, changeset: Changeset, row: int) -> Pieces:
            return self.content(layers[layer], changeset, row)

        return ImageSource(stack, read, key)

    def stack(self, layers: Sequence[StoredLayer]) -> Stack:
        return Stack([self.changeset(layer) for layer in layers])

    def content(self, layer: StoredLayer, changeset: Changeset, row: int) -> Pieces:
        return stored_content(self._fd(layer), changeset, row)

    def changeset(self, layer: StoredLayer) -> Changeset:
        with self._guard:
            found = self._changesets.get(layer.digest)
            if found is None:
                found = self._changesets[layer.digest] = self._read(layer)
            return found

    def _read(self, layer: StoredLayer) -> Changeset:
        # Uncompressed layers have been verified.
        cache = ChangesetCache() if layer.digest == layer.diff_id else None
        found = None if cache is None else cache.get(layer.diff_id)
        if (
            found is not None
            and not ((found.data_offsets < 0) & (found.kinds == EntryType.FILE)).any()
        ):
            return found
        fd = self._fd(layer)
        try:
            found = read_changeset(FileRange(fd, 0, os.fstat(fd).st_size))
        except (TarError, TruncatedError) as error:
            raise BadInputError(self.store.file, None, f"a layer is damaged: {error}") from None
        if cache is not None:
            cache.put(layer.diff_id, found)
        return found

    def _fd(self, layer: StoredLayer) -> int:
        """Returns the uncompressed tar of a layer, as an open file."""
        with self._guard:
            if layer.digest not in self._open:
                self._open[layer.digest] = self._opened(layer)
            return self._open[layer.digest][0]

    def _opened(self, layer: StoredLayer) -> tuple[int, IO[bytes] | None]:
        path = self.store.blob(layer.digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            problem = f"a layer cannot be read ({error.strerror})"
            raise BadInputError(self.store.file, None, problem, "Pull the image again.") from None
        kind = compression_of(os.pread(fd, 6, 0))
        if kind is None:
            return fd, None
        try:
            with self.store.translated():
                file = temporary_file(self.store.folder)
                read = decompressed(kind, lambda size: os.read(fd, size))
                while piece := read(_PIECE):
                    file.write(piece)
                file.flush()
        except CompressionError as error:
            raise BadInputError(self.store.file, None, f"a layer is damaged: {error}") from None
        finally:
            os.close(fd)
        return file.fileno(), file

    def close(self) -> None:
        while self._open:
            fd, file = self._open.popitem()[1]
            if file is not None:
                file.close()
            else:
                os.close(fd)
