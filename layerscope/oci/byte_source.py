"""The bytes of an archive, from a seekable file or a stream.

The tar scanner requests windows: bytes from an offset on. A seekable source reads there and skips
the bytes between; a stream reads on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from layerscope.errors import BadInputError
from layerscope.text import visible

#: Small enough to read few skipped bytes, large enough for many small files.
WINDOW = 16 << 10
STREAM_WINDOW = 1 << 20


class TruncatedError(ValueError):
    """The bytes end too early, at `offset` in the source."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"truncated at byte {offset}")
        self.offset = offset


class ByteSource:
    """A range of bytes, read from front to back. Offsets count from its beginning."""

    end: int | None = None  # The number of bytes, or None while unknown.
    #: Whether the tar scanner computes digests of content, since the bytes pass by anyway.
    digesting = False

    def window(self, offset: int) -> bytes:
        """Bytes from `offset` on: at least one tar block, or less at the end."""
        raise NotImplementedError

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset` on; raises TruncatedError if there are fewer."""
        raise NotImplementedError

    def sha256(self, offset: int, size: int) -> bytes:
        """The digest of a range; raises TruncatedError if there are fewer bytes."""
        digest = hashlib.sha256()
        while size > 0:
            piece = self.read(offset, min(size, STREAM_WINDOW))
            digest.update(piece)
            offset += len(piece)
            size -= len(piece)
        return digest.digest()

    def part(self, start: int, size: int) -> ByteSource:
        """A range as a source of its own, such as a file inside an archive."""
        return SubRange(self, start, size)


@contextmanager
def opened(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def read_at(fd: int, size: int, offset: int, name: str = "") -> bytes:
    """Up to `size` bytes of an open file; `name` is for errors, and looked up if empty.

    Raises BadInputError if the system cannot read it, for example from a damaged disk.
    """
    try:
        return os.pread(fd, size, offset)
    except OSError as error:
        try:
            name = name or str(Path(f"/proc/self/fd/{fd}").readlink())
        except OSError:
            name = "the file"
        problem = f"it cannot be read ({error.strerror})"
        raise BadInputError(
            visible(name), offset, problem, "Check the disk, or copy the file again."
        ) from None


class FileRange(ByteSource):
    """A range of a seekable file, read with pread(2), so that threads may share it.

    `fd` is a file descriptor that must stay open while the range is used.
    """

    def __init__(self, fd: int, start: int, end: int) -> None:
        self.fd = fd
        self.start = start
        self.end = end - start

    def window(self, offset: int) -> bytes:
        left = (self.end or 0) - offset
        if left <= 0:
            return b""
        return read_at(self.fd, min(WINDOW, left), self.start + offset)

    def read(self, offset: int, size: int) -> bytes:
        if offset + size > (self.end or 0):
            raise TruncatedError(self.end or 0)
        pieces = []
        while size > 0:
            piece = read_at(self.fd, size, self.start + offset)
            if not piece:
                raise TruncatedError(offset)
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def part(self, start: int, size: int) -> FileRange:
        start += self.start
        return FileRange(self.fd, start, start + size)


class Buffer(ByteSource):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.end = len(data)

    def window(self, offset: int) -> bytes:
        return self._data[offset:]

    def read(self, offset: int, size: int) -> bytes:
        if offset + size > len(self._data):
            raise TruncatedError(len(self._data))
        return self._data[offset : offset + size]


class Stream(ByteSource):
    """Bytes that come once, in order; going back is an error.

    `read` returns up to the given number of bytes, and none only at the end. With `digest`, the
    tar scanner computes digests of content.
    """

    def __init__(self, read: Callable[[int], bytes], *, digest: bool = False) -> None:
        self._read = read
        self._buffer = b""
        self._base = 0
        self.digesting = digest

    @property
    def position(self) -> int:
        return self._base + len(self._buffer)

    def window(self, offset: int) -> bytes:
        self._skip_to(offset)
        start = offset - self._base
        while len(self._buffer) - start < 512:
            piece = self._read(STREAM_WINDOW)
            if not piece:
                break
            self._buffer = self._buffer[start:] + piece
            self._base = offset
            start = 0
        return self._buffer[start:] if start else self._buffer

    def read(self, offset: int, size: int) -> bytes:
        self._skip_to(offset)
        start = offset - self._base
        pieces = [self._buffer[start : start + size]]
        have = len(pieces[0])
        if have == size:
            return pieces[0]
        position = self.position
        while have < size:
            piece = self._read(STREAM_WINDOW)
            if not piece:
                raise TruncatedError(position)
            pieces.append(piece[: size - have])
            have += len(pieces[-1])
            self._buffer, self._base = piece, position
            position += len(piece)
        return b"".join(pieces)

    def sha256(self, offset: int, size: int) -> bytes:
        self._skip_to(offset)
        digest = hashlib.sha256()
        start = offset - self._base
        left = size
        while True:
            piece = memoryview(self._buffer)[start : start + left]
            digest.update(piece)
            left -= len(piece)
            if not left:
                return digest.digest()
            self._next()
            start = 0

    def drain(self) -> int:
        """Reads to the end and returns the total number of bytes."""
        while piece := self._read(STREAM_WINDOW):
            self._base += len(self._buffer)
            self._buffer = piece
        return self.position

    def _skip_to(self, offset: int) -> None:
        if offset < self._base:
            raise ValueError(f"offset {offset} of a stream has passed")
        while offset > self.position:
            self._next()

    def _next(self) -> None:
        piece = self._read(STREAM_WINDOW)
        if not piece:
            raise TruncatedError(self.position)
        self._base += len(self._buffer)
        self._buffer = piece


class SubRange(ByteSource):
    """A part of another source, with offsets of its own, such as a file inside an archive."""

    def __init__(self, parent: ByteSource, start: int, size: int) -> None:
        self._parent = parent
        self._start = start
        self.end = size

    def window(self, offset: int) -> bytes:
        left = (self.end or 0) - offset
        if left <= 0:
            return b""
        window = self._ask(self._parent.window, offset)
        return window if len(window) <= left else window[:left]

    def read(self, offset: int, size: int) -> bytes:
        return self._ask(self._parent.read, offset, size)

    def sha256(self, offset: int, size: int) -> bytes:
        return self._ask(self._parent.sha256, offset, size)

    def _ask(self, ask: Callable[..., bytes], offset: int, *size: int) -> bytes:
        if sum(size, offset) > (self.end or 0):
            raise TruncatedError(self.end or 0)
        try:
            return ask(self._start + offset, *size)
        except TruncatedError as error:
            raise TruncatedError(error.offset - self._start) from None


def whole_reader(source: ByteSource, size: int, start: int = 0) -> Callable[[int], bytes]:
    """A function that reads `size` bytes of a source from `start`, in pieces of the requested size.

    It raises TruncatedError if there are fewer.
    """
    position = start

    def read(most: int) -> bytes:
        nonlocal position
        piece = source.read(position, min(most, size - position))
        position += len(piece)
        return piece

    return read


def reader_of_pieces(pieces: Iterable[bytes]) -> Callable[[int], bytes]:
    """A function that reads from pieces."""
    rest = b""
    left = filter(None, pieces)

    def read(most: int) -> bytes:
        nonlocal rest
        piece = rest or next(left, b"")
        piece, rest = piece[:most], piece[most:]
        return piece

    return read


def reader_of(source: ByteSource) -> Callable[[int], bytes]:
    """A function that reads a source, for decompressors."""
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        window = source.window(position)[:size]
        position += len(window)
        return window

    return read
