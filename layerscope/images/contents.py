"""Random access to the content of files, whether their layer can seek or comes as a stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol, TypeVar

from layerscope.errors import Cancelled, LayerscopeError, UsageError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images.file_digests import content_of, file_digests
from layerscope.images.located import Located, LocatingReader
from layerscope.images.reader import ImageReader
from layerscope.images.spool import Spool

T = TypeVar("T")

#: Told how many bytes are there; may raise to stop.
Advance = Callable[[int], None]

#: Seconds between two looks at whether it is still wanted.
_PATIENCE = 0.1


class Content(Protocol):
    """The bytes of one version of a file. Reading is safe in every thread."""

    @property
    def size(self) -> int:
        """How many bytes there are; what the layer says until all have been read."""

    @property
    def available(self) -> int:
        """How many can be read without waiting for the image."""

    def read(self, offset: int, length: int, advance: Advance | None = None) -> bytes:
        """Bytes from `offset` on, fewer only where the content ends.

        What is not available yet is read from the image first, which may take long.

        Args:
            offset: Where they begin.
            length: How many.
            advance: Told how many bytes are available while it reads; may raise to stop.

        Raises:
            LayerscopeError: They cannot be read.
            Cancelled: The content, or the image, has been closed.
        """

    def fill(self, until: int | None = None, advance: Advance | None = None) -> None:
        """Reads on until so many bytes are available; None for all.

        Raises:
            LayerscopeError: They cannot be read.
            Cancelled: The content, or the image, has been closed.
        """

    def close(self) -> None:
        """Lets go of it, from any thread; may be called twice."""


class Contents:
    """The content of all files of an image, and the one who may close its reader.

    Readers are not made for several threads: one lock is held while one of them reads a piece.
    """

    def __init__(self, reader: ImageReader, free: threading.Event | None = None) -> None:
        """Takes a reader over.

        Args:
            reader: The image; closed with this, as soon as nobody reads from it.
            free: Set as soon as its layers have been read; streams wait for that. None if they are.
        """
        self._reader = reader
        self._free = free
        self._lock = threading.Lock()
        self._closed = False

    def open(self, stack: Stack, row: int) -> Content:
        """The content of a regular file's version. Nothing of it is read yet.

        Args:
            stack: The layers.
            row: The version; of a hard link, the content is that of its inode.

        Raises:
            UsageError: It is no regular file.
            LayerscopeError: It cannot be read.
            Cancelled: The image has been closed.
        """
        kind = EntryType(int(stack.types[row]))
        row = int(stack.inodes[row])
        place = stack.place(row)
        if kind is not EntryType.FILE or place is None:
            raise UsageError(f"A {kind.label} has no content.")
        if self._closed:
            raise Cancelled
        if isinstance(self._reader, LocatingReader):
            changeset, inner = place
            located = self._reader.located(int(stack.layers[row]), changeset, inner)
            if located is not None:
                return _Direct(located)
        return _Streamed(self, content_of(stack, self._reader, row), int(stack.sizes[row]))

    def seekable(self, stack: Stack, row: int) -> bool:
        """Whether the content of a regular file's version can be read without all before it."""
        place = stack.place(int(stack.inodes[row]))
        if place is None or not isinstance(self._reader, LocatingReader) or self._closed:
            return False
        changeset, inner = place
        layer = int(stack.layers[int(stack.inodes[row])])
        located = self._reader.located(layer, changeset, inner)
        if located is not None:
            located.close()
        return located is not None

    def read_all(self, stack: Stack, row: int, limit: int, advance: Advance | None = None) -> bytes:
        """The content of a regular file's version, but no more than `limit` bytes.

        Args:
            stack: The layers.
            row: The version.
            limit: How many bytes to read at most.
            advance: Told how many bytes are available; may raise to stop.

        Raises:
            LayerscopeError: It cannot be read.
        """
        content = self.open(stack, row)
        try:
            return content.read(0, limit, advance)
        finally:
            content.close()

    def close(self) -> None:
        """Closes the reader, at once or when the thread that reads has its piece."""
        self._closed = True
        self._close_if_idle()

    def digests(
        self, stack: Stack, rows: Iterable[int], advance: Advance | None = None
    ) -> Iterator[tuple[int, bytes | None]]:
        """SHA-256 of versions of regular files, in one pass of each layer; see `file_digests`.

        Args:
            stack: The layers.
            rows: The versions.
            advance: Told how many bytes of a file have been read; may raise to stop.

        Raises:
            Cancelled: The image has been closed, or `advance` said so.
        """

        def check() -> None:
            if advance is not None:
                advance(0)

        def step(items: Iterator[T]) -> T | None:
            return self.step(items, check)

        return file_digests(stack, self._reader, rows, advance, step)

    def step(self, stream: Iterator[T], check: Callable[[], None]) -> T | None:
        """The next item of what the reader gives, such as a piece of a file; None at its end.

        Args:
            stream: The stream.
            check: Called while it has to wait; may raise to stop.

        Raises:
            Cancelled: The image has been closed.
        """
        while self._free is not None and not self._free.wait(_PATIENCE):
            check()
            if self._closed:
                raise Cancelled
        try:
            with self._lock:
                if self._closed:
                    raise Cancelled
                return next(stream, None)
        finally:
            if self._closed:
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._reader.close()
            finally:
                self._lock.release()


class _Direct:
    """Content that lies uncompressed in a file."""

    def __init__(self, located: Located) -> None:
        self._located = located

    @property
    def size(self) -> int:
        return self._located.size

    @property
    def available(self) -> int:
        return self._located.size

    def read(self, offset: int, length: int, advance: Advance | None = None) -> bytes:
        return self._located.read(offset, length)

    def fill(self, until: int | None = None, advance: Advance | None = None) -> None:
        if advance is not None:
            advance(self._located.size)

    def close(self) -> None:
        self._located.close()


class _Streamed:
    """Content that comes in order, kept as far as it has been asked for."""

    def __init__(self, contents: Contents, stream: Iterator[bytes], size: int) -> None:
        self._contents = contents
        self._stream = stream
        self._claimed = size
        self._spool = Spool()
        # Held by the one thread that takes pieces from the stream.
        self._lock = threading.Lock()
        self._ended = False
        self._closed = False
        self._error: LayerscopeError | None = None

    @property
    def size(self) -> int:
        # A file of a running container can be longer than it was, and a damaged layer lie.
        return self._spool.size if self._ended else max(self._claimed, self._spool.size)

    @property
    def available(self) -> int:
        return self._spool.size

    def read(self, offset: int, length: int, advance: Advance | None = None) -> bytes:
        if not self._ended:
            self.fill(offset + length, advance)
        return self._spool.read(offset, length)

    def fill(self, until: int | None = None, advance: Advance | None = None) -> None:
        while not self._ended and (until is None or self._spool.size < until):
            self._take(lambda: advance(self._spool.size) if advance is not None else None)
            if advance is not None:
                advance(self._spool.size)

    def close(self) -> None:
        self._closed = True
        self._close_if_idle()

    def _take(self, check: Callable[[], None]) -> None:
        try:
            with self._lock:
                if self._closed:
                    raise Cancelled
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return
                try:
                    piece = self._contents.step(self._stream, check)
                    if piece is not None:
                        self._spool.append(piece)
                except Cancelled:
                    raise
                except LayerscopeError as error:
                    # A stream that failed cannot go on: it would seem to have ended.
                    self._error = error
                    raise
                self._ended = piece is None
        finally:
            if self._closed:
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                if isinstance(self._stream, Generator):
                    self._stream.close()
                self._spool.close()
            finally:
                self._lock.release()
