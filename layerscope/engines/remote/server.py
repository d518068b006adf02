"""Answers requests for images of this host's engine; see `protocol`."""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, BinaryIO

from layerscope import __version__
from layerscope.engines.docker import connect_any
from layerscope.engines.remote.protocol import (
    MAGIC,
    PROTOCOL,
    Message,
    ProtocolError,
    packed,
    read_message,
    summary_document,
)
from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.changeset_file import VERSION, dump_changeset
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.loading import Loaded, load
from layerscope.images.pieces import Hole
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.oci.compression import zstandard_of
from layerscope.records import Record, convert

_PIECE = 1 << 20
_PERIOD = 0.2  # Seconds between reports of progress.


class Request(Record, frozen=True):
    """A request; each kind uses some of the fields."""

    request: str
    id: int = 0
    name: str = ""
    platform: str | None = None
    diff_ids: tuple[str, ...] = ()
    files: tuple[tuple[int, str], ...] = ()


def serve(stdin: BinaryIO, stdout: BinaryIO, cache: ChangesetCache | None = None) -> None:
    """Serves until the other side disconnects. Raises ProtocolError if it violates the protocol."""
    server = _Server(stdout, cache)
    hello = {
        "protocol": PROTOCOL,
        "version": __version__,
        "changesets": VERSION,
        "requests": [*server.kinds],
    }
    stdout.write(MAGIC + packed(hello))
    stdout.flush()
    worker = threading.Thread(target=server.work, name="layerscope-serve", daemon=True)
    worker.start()
    try:
        while (message := read_message(stdin.read)) is not None:
            try:
                request = convert(message[0], Request)
            except ValueError as error:
                raise ProtocolError(f"A request is invalid ({error}).") from None
            if request.request == "cancel":
                server.progress.cancel()
            else:
                server.requests.put(request)
    finally:
        server.progress.cancel()
        server.requests.put(None)
        worker.join()


class _Server:
    def __init__(self, stdout: BinaryIO, cache: ChangesetCache | None) -> None:
        self.requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.progress = Progress()  # Of the current request.
        self._stdout = stdout
        self._cache = cache
        self._reader: ImageReader | None = None
        self._loaded: Loaded | None = None
        self._opened = ExitStack()
        self.kinds: dict[str, Callable[[Request], Iterator[Message]]] = {
            "images": self._images,
            "open": self._open,
            "changesets": self._changesets,
            "contents": self._contents,
            "tars": self._tars,
            "tar_sizes": self._tar_sizes,
        }

    def work(self) -> None:
        with self._opened:
            while (request := self.requests.get()) is not None:
                self.progress = Progress()
                try:
                    self._answer(request)
                except OSError:
                    return  # Nobody reads any more; the other thread will notice.

    def _answer(self, request: Request) -> None:
        last: dict[str, Any] = {"end": True}
        try:
            kind = self.kinds.get(request.request)
            if kind is None:
                raise ProtocolError("This layerscope does not know such a request.")
            for document, data in kind(request):
                self._write(request, document, data)
        except LayerscopeError as error:
            last |= {"error": error.message, "hint": error.hint}
        self._write(request, last)
        self._stdout.flush()

    def _write(self, request: Request, document: dict[str, Any], data: bytes = b"") -> None:
        self._stdout.write(packed({"id": request.id, **document}, data))

    def _images(self, request: Request) -> Iterator[Message]:
        engine = connect_any()
        try:
            images = [summary_document(each) for each in engine.images(sizes=True)]
        finally:
            engine.close()
        yield {"images": images}, b""

    def _open(self, request: Request) -> Iterator[Message]:
        self._opened.close()
        self._reader = self._loaded = None
        source = f"docker-daemon:{request.name}"
        reader = open_image(source, self.progress, platform=request.platform)
        self._opened.callback(reader.close)
        self._reader = reader
        layers = [layer.diff_id for layer in reader.image.layers]
        yield {"layers": layers, "way": reader.way, "why": reader.why}, reader.image.document

    def _open_reader(self) -> ImageReader:
        if self._reader is None:
            raise NotFoundError("No image is open.")
        return self._reader

    def _image(self) -> tuple[ImageReader, Loaded]:
        reader = self._open_reader()
        if self._loaded is None:
            self._loaded = load(reader, self.progress, cache=self._cache)
        return reader, self._loaded

    def _changesets(self, request: Request) -> Iterator[Message]:
        reader, loaded = self._image()
        wanted = set(request.diff_ids)
        for layer in reader.image.layers:
            self.progress.check()
            if layer.diff_id in wanted:
                wanted.discard(layer.diff_id)
                # File digests compress badly, and the other side could not verify them.
                changeset = replace(loaded.changesets[layer.index], digests=None)
                yield {"diff_id": layer.diff_id}, dump_changeset(changeset)
        if wanted:
            raise NotFoundError("The image does not have all of these layers.")

    def _contents(self, request: Request) -> Iterator[Message]:
        reader, loaded = self._image()
        wanted: dict[int, list[int]] = {}
        numbers: dict[tuple[int, int], int] = {}
        for number, (layer, text) in enumerate(request.files):
            row = _row(loaded, layer, text)
            if row is None:
                yield {"file": number, "error": "It is not a regular file of the image."}, b""
                continue
            wanted.setdefault(layer, []).append(row)
            numbers[layer, row] = number
        asked = {layer: (loaded.changesets[layer], rows) for layer, rows in wanted.items()}
        for layer, row, pieces in reader.contents(asked):
            self.progress.check()
            number = numbers[layer, row]
            yield {"file": number}, b""
            try:
                for piece in pieces:
                    self.progress.check()
                    yield ({"hole": piece.size}, b"") if isinstance(piece, Hole) else ({}, piece)
            except LayerscopeError as error:
                if self.progress.cancelled:
                    raise
                yield {"file": number, "error": error.message, "hint": error.hint}, b""

    def _tars(self, request: Request) -> Iterator[Message]:
        reader = self._open_reader()
        for diff_id, read in reader.tars(self.progress, set(request.diff_ids)):
            yield {"tar": diff_id}, b""
            for piece in zstandard_of(read):
                self.progress.check()
                yield {}, piece
        yield {"tar": None}, reader.image.document

    def _tar_sizes(self, request: Request) -> Iterator[Message]:
        for diff_id, read in self._open_reader().tars(self.progress, set(request.diff_ids)):
            if not diff_id:
                return
            size = 0
            while piece := read(_PIECE):
                self.progress.check()
                size += len(piece)
            yield {"diff_id": diff_id, "size": size}, b""


def _row(loaded: Loaded, layer: int, text: str) -> int | None:
    """Returns the row of a regular file in a layer, by its path in base64."""
    changeset = loaded.changesets.get(layer)
    try:
        path = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    if changeset is None:
        return None
    rows = (row for row, each in enumerate(changeset.paths()) if each == path)
    return next((row for row in rows if changeset.kinds[row] == EntryType.FILE), None)
