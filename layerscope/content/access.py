"""Random access to bytes."""

from __future__ import annotations

import io
from typing import Any, Protocol


class RandomAccess(Protocol):
    """The content interface of this package; `images.contents.Content` implements it."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset` on; fewer only at the end."""


class _File(io.RawIOBase):
    def __init__(self, source: RandomAccess) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._source.read(self._at, len(view))
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def as_file(source: RandomAccess) -> io.BufferedReader:
    return io.BufferedReader(_File(source))
