"""Random access to the content of files, whether their layer can seek or is a stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol, TypeVar

from layerscope.errors import Cancelled, LayerscopeError, UsageError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images.files.digests import content_of, file_digests
from layerscope.images.files.located import Located
from layerscope.images.files.spool import Spool
from layerscope.images.pieces import Piece, stored_size
from layerscope.images.reader import ImageReader

T = TypeVar("T")

#: Receives the number of available bytes; may raise to stop.
Advance = Callable[[int], None]

#: Seconds between two checks whether the content is still wanted.
_PATIENCE = 0.1


class Content(Protocol):
    """The bytes of one version of a file. Reading is thread-safe."""

    @property
    def size(self) -> int:
        """The number of bytes; until all have been read, the number that the layer claims."""

    @property
    def available(self) -> int:
        """The number of bytes that can be read without waiting for the image."""

    def read(self, offset: int, length: int, advance: Advance | None = None) -> bytes:
        """Bytes from `offset` on, fewer only at the end of the content.

        Bytes that are not available yet are read from the image first, which may take long. Raises
        LayerscopeError if they cannot be read and Cancelled if the content or the image has been
        closed.
        """

    def extents(self, advance: Advance | None = None) -> Iterator[tuple[int, int]]:
        """Offset and length of each piece that is not a hole, in order.

        Reads the image as `read` does, and may raise the same errors.
        """

    @property
    def stored(self) -> int:
        """The number of bytes that are not in holes, as far as known."""

    def close(self) -> None:
        """Closes it, from any thread; may be called more than once."""


class _Use:
    """Closes something that several threads share, once no thread uses it."""

    def __init__(self, release: Callable[[], object]) -> None:
        self.closed = False
        self._release = release
        self._users = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            idle = not self._users and not self.closed
            self.closed = True
        if idle:
            self._release()

    def __enter__(self) -> None:
        with self._lock:
            self.check()
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            last = self.closed and not self._users
        if last:
            self._release()

    def check(self) -> None:
        if self.closed:
            raise Cancelled


class Contents:
    """The content of all files of an image. Owns its reader.

    Readers are not thread-safe: a thread holds a lock while it reads a piece.
    """

    def __init__(self, reader: ImageReader, free: threading.Event | None = None) -> None:
        """Takes ownership of a reader.

        `free` is set once its layers have been read; streams wait for that. None if they have been.
        """
        self._reader = reader
        self._free = free
        self._lock = threading.Lock()
        self._use = _Use(reader.close)

    def open(self, stack: Stack, row: int) -> Content:
        """The content of a regular file's version, or of its inode's. Reads nothing yet.

        Raises UsageError if it is not a regular file, LayerscopeError if it cannot be read, and
        Cancelled if the image has been closed.
        """
        kind = EntryType(int(stack.types[row]))
        row = int(stack.inodes[row])
        place = stack.place(row)
        if kind is not EntryType.FILE or place is None:
            raise UsageError(f"A {kind.noun} has no content.")
        located = self._located(stack, row)
        if located is not None:
            return located
        stored = stored_size(*place)
        return _Streamed(self, content_of(stack, self._reader, row), int(stack.sizes[row]), stored)

    def seekable(self, stack: Stack, row: int) -> bool:
        """Whether a regular file's version can be read without all that precedes it."""
        try:
            located = self._located(stack, int(stack.inodes[row]))
        except Cancelled:
            return False
        if located is not None:
            located.close()
        return located is not None

    def _located(self, stack: Stack, row: int) -> Located | None:
        place = stack.place(row)
        with self._use:
            return place and self._reader.located(int(stack.layers[row]), *place)

    def read_all(self, stack: Stack, row: int, limit: int, advance: Advance | None = None) -> bytes:
        """The content of a regular file's version, up to `limit` bytes.

        Raises LayerscopeError if it cannot be read.
        """
        with closing(self.open(stack, row)) as content:
            return content.read(0, limit, advance)

    def close(self) -> None:
        """Closes the reader, at once or when the threads that use it have finished their piece."""
        self._use.close()

    def digests(
        self, stack: Stack, rows: Iterable[int], advance: Advance | None = None
    ) -> Iterator[tuple[int, bytes | None]]:
        """SHA-256 of versions of regular files, in one pass of each layer; see `file_digests`.

        Raises Cancelled if the image has been closed or `advance` raised it.
        """

        def step(items: Iterator[T]) -> T | None:
            return self.step(items, lambda: advance(0) if advance is not None else None)

        return file_digests(stack, self._reader, rows, advance, step)

    @contextmanager
    def alone(self, check: Callable[[], None]) -> Iterator[ImageReader]:
        """The reader, for exclusive use by one thread; `check` as for `step`."""
        self._wait(check)
        with self._use, self._lock:
            self._use.check()
            yield self._reader

    def _wait(self, check: Callable[[], None]) -> None:
        while self._free is not None and not self._free.wait(_PATIENCE):
            check()
            self._use.check()

    def step(self, stream: Iterator[T], check: Callable[[], None]) -> T | None:
        """The next item that the reader yields, such as a piece of a file; None at the end.

        `check` is called while waiting and may raise to stop. Raises Cancelled if the image has
        been closed.
        """
        self._wait(check)
        with self._use, self._lock:
            self._use.check()
            return next(stream, None)


class _Streamed:
    """Content that comes in order; kept as far as it has been requested."""

    def __init__(self, contents: Contents, stream: Iterator[Piece], size: int, stored: int) -> None:
        self.stored = stored
        self._contents = contents
        self._stream = stream
        self._claimed = size
        self._spool = Spool()
        # Held by the one thread that takes pieces from the stream.
        self._lock = threading.Lock()
        self._use = _Use(self._release)
        self._ended = False
        self._error: LayerscopeError | None = None

    @property
    def size(self) -> int:
        # A running container's file may have grown, and a damaged layer's size may be wrong.
        return self._spool.size if self._ended else max(self._claimed, self._spool.size)

    @property
    def available(self) -> int:
        return self._spool.size

    def read(self, offset: int, length: int, advance: Advance | None = None) -> bytes:
        if not self._ended:
            self._fill(offset + length, advance)
        return self._spool.read(offset, length)

    def _fill(self, until: int, advance: Advance | None) -> None:
        while not self._ended and self._spool.size < until:
            self._take(lambda: advance(self._spool.size) if advance is not None else None)
            if advance is not None:
                advance(self._spool.size)

    def extents(self, advance: Advance | None = None) -> Iterator[tuple[int, int]]:
        reached = 0
        while True:
            for start, end in self._spool.extents(reached):
                yield start, end - start
                reached = end
            if self._ended:
                return
            self._fill(self._spool.size + 1, advance)

    def close(self) -> None:
        self._use.close()

    def _take(self, check: Callable[[], None]) -> None:
        with self._use, self._lock:
            self._use.check()
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
                # A failed stream cannot continue: it would seem to have ended.
                self._error = error
                raise
            self._ended = piece is None

    def _release(self) -> None:
        if isinstance(self._stream, Generator):
            self._stream.close()
        self._spool.close()
