"""Where the bytes of an archive come from: a file that can seek, or a stream that cannot.

The tar scanner asks for windows: "give me bytes that begin at this offset". A seekable source
answers by reading there, and what lies between is never touched; a stream answers by reading on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from layerscope.errors import BadInputError
from layerscope.text import visible

#: Small enough to read little of what is skipped, large enough for runs of small files.
WINDOW = 16 << 10
STREAM_WINDOW = 1 << 20


class TruncatedError(ValueError):
    """The bytes end before they should.

    Attributes:
        offset: Where they end, counted from the beginning of the source.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(f"truncated at byte {offset}")
        self.offset = offset


class ByteSource(Protocol):
    """A range of bytes that is read from front to back. Offsets count from its beginning."""

    @property
    def end(self) -> int | None:
        """How many bytes there are, or None if that is not known yet."""

    @property
    def digesting(self) -> bool:
        """Whether `sha256` may be called, since the bytes pass by anyway."""

    def window(self, offset: int) -> bytes:
        """Bytes from `offset` on: at least one tar block, or less only where the bytes end."""

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset` on.

        Raises:
            TruncatedError: There are fewer.
        """

    def sha256(self, offset: int, size: int) -> bytes:
        """Digest of a range.

        Raises:
            TruncatedError: There are fewer bytes.
        """

    def part(self, start: int, size: int, *, digest: bool = False) -> ByteSource:
        """A range of the bytes as a source of its own: a file inside an archive.

        Args:
            start: Where it begins.
            size: How long it is.
            digest: Whether the tar scanner is to take digests of content in it.
        """


def read_at(fd: int, size: int, offset: int, name: str = "") -> bytes:
    """Up to so many bytes of an open file.

    Args:
        fd: The file.
        size: How many bytes at most.
        offset: Where they begin.
        name: What the file is called, for errors; empty for what the system calls it.

    Raises:
        BadInputError: The system cannot read it, as of a disk that is damaged.
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


class FileRange:
    """A range of a file that can seek, read with pread(2) and so shared between threads.

    Args:
        fd: An open file descriptor; stays open for as long as the range is used.
        start: Where the range begins in the file.
        end: Where it ends in the file.
        digest: Whether the tar scanner is to take digests of content.

    Attributes:
        fd: The file descriptor.
        start: Where the range begins in the file.
    """

    def __init__(self, fd: int, start: int, end: int, *, digest: bool = False) -> None:
        self.fd = fd
        self.start = start
        self.end: int | None = end - start
        self.digesting = digest

    def window(self, offset: int) -> bytes:
        """See `ByteSource.window`."""
        left = (self.end or 0) - offset
        if left <= 0:
            return b""
        return read_at(self.fd, min(WINDOW, left), self.start + offset)

    def read(self, offset: int, size: int) -> bytes:
        """See `ByteSource.read`."""
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

    def sha256(self, offset: int, size: int) -> bytes:
        """See `ByteSource.sha256`."""
        digest = hashlib.sha256()
        while size > 0:
            piece = self.read(offset, min(size, STREAM_WINDOW))
            digest.update(piece)
            offset += len(piece)
            size -= len(piece)
        return digest.digest()

    def part(self, start: int, size: int, *, digest: bool = False) -> FileRange:
        """See `ByteSource.part`."""
        start += self.start
        return FileRange(self.fd, start, start + size, digest=digest)


class Stream:
    """Bytes that come once, in order. Asking for an offset that has gone by is an error.

    Args:
        read: Returns up to so many bytes, and nothing only at the end.
        digest: Whether `sha256` computes digests, since the bytes pass by anyway.
    """

    def __init__(self, read: Callable[[int], bytes], *, digest: bool = False) -> None:
        self._read = read
        self._buffer = b""
        self._base = 0
        self.digesting = digest
        self.end: int | None = None

    @property
    def position(self) -> int:
        """How many bytes have been taken from the stream."""
        return self._base + len(self._buffer)

    def window(self, offset: int) -> bytes:
        """See `ByteSource.window`."""
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
        """See `ByteSource.read`."""
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
        """See `ByteSource.sha256`."""
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

    def part(self, start: int, size: int, *, digest: bool = False) -> SubRange:
        """See `ByteSource.part`."""
        return SubRange(self, start, size, digest=digest)

    def drain(self) -> int:
        """Reads to the end and returns the number of bytes that there were."""
        while piece := self._read(STREAM_WINDOW):
            self._base += len(self._buffer)
            self._buffer = piece
        return self.position

    def _skip_to(self, offset: int) -> None:
        if offset < self._base:
            raise ValueError(f"offset {offset} of a stream has gone by")
        while offset > self.position:
            self._next()

    def _next(self) -> None:
        piece = self._read(STREAM_WINDOW)
        if not piece:
            raise TruncatedError(self.position)
        self._base += len(self._buffer)
        self._buffer = piece


class SubRange:
    """A part of another source, with offsets of its own: a file inside an archive.

    Args:
        parent: The source that holds it.
        start: Where it begins there.
        size: How long it is.
        digest: Whether the tar scanner is to take digests of content.
    """

    def __init__(self, parent: ByteSource, start: int, size: int, *, digest: bool = False) -> None:
        self._parent = parent
        self._start = start
        self.end: int | None = size
        self.digesting = digest

    def window(self, offset: int) -> bytes:
        """See `ByteSource.window`."""
        left = (self.end or 0) - offset
        if left <= 0:
            return b""
        try:
            window = self._parent.window(self._start + offset)
        except TruncatedError as error:
            raise TruncatedError(error.offset - self._start) from None
        return window if len(window) <= left else window[:left]

    def read(self, offset: int, size: int) -> bytes:
        """See `ByteSource.read`."""
        if offset + size > (self.end or 0):
            raise TruncatedError(self.end or 0)
        try:
            return self._parent.read(self._start + offset, size)
        except TruncatedError as error:
            raise TruncatedError(error.offset - self._start) from None

    def sha256(self, offset: int, size: int) -> bytes:
        """See `ByteSource.sha256`."""
        if offset + size > (self.end or 0):
            raise TruncatedError(self.end or 0)
        try:
            return self._parent.sha256(self._start + offset, size)
        except TruncatedError as error:
            raise TruncatedError(error.offset - self._start) from None

    def part(self, start: int, size: int, *, digest: bool = False) -> SubRange:
        """See `ByteSource.part`."""
        return SubRange(self, start, size, digest=digest)


def reader_of(source: ByteSource) -> Callable[[int], bytes]:
    """A read function over a source, for decompressors."""
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        window = source.window(position)[:size]
        position += len(window)
        return window

    return read
