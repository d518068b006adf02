"""Random access to content that is stored uncompressed in a file on this host."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from layerscope.errors import BadInputError, Cancelled
from layerscope.images.pieces import extents_on_disk
from layerscope.oci.byte_source import ByteSource, FileRange, TruncatedError
from layerscope.oci.compression import compression_of

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset


class Located:
    """Pieces of an open file that form the content of another, with holes between them.

    It is a thread-safe `contents.Content`.
    """

    def __init__(
        self, fd: int, size: int, extents: Sequence[tuple[int, int, int]], name: str
    ) -> None:
        """Takes ownership of the descriptor `fd`.

        `extents` has the offset in the content, the offset in the file and the length of each
        piece, in order.
        """
        self.size = self.available = size
        self._fd = fd
        self._extents = extents
        self._starts = [start for start, _, _ in extents]
        self._name = name
        # A descriptor that is closed during a read could be reused for another file.
        self._lock = threading.Lock()

    @classmethod
    def of_file(cls, fd: int, name: str) -> Located:
        """The content of an open file; takes ownership of it."""
        extents = [(start, start, length) for start, length in extents_on_disk(fd)]
        return cls(fd, os.fstat(fd).st_size, extents, name)

    def read(self, offset: int, length: int, advance: Callable[[int], None] | None = None) -> bytes:
        """Bytes of the content; fewer only at its end.

        Raises BadInputError if the file has shrunk or cannot be read, and Cancelled if it has been
        closed.
        """
        length = min(length, self.size - offset)
        pieces = []
        while length > 0:
            index = bisect_right(self._starts, offset) - 1
            start, at, stored = self._extents[index] if index >= 0 else (0, 0, 0)
            inside = offset - start
            if inside < stored:
                piece = self._read(at + inside, min(length, stored - inside))
            else:
                following = index + 1
                end = self._starts[following] if following < len(self._starts) else self.size
                piece = bytes(min(length, end - offset))
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def extents(self, advance: Callable[[int], None] | None = None) -> Iterator[tuple[int, int]]:
        return ((start, length) for start, _, length in self._extents)

    @property
    def stored(self) -> int:
        return sum(length for _, _, length in self._extents)

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _read(self, at: int, length: int) -> bytes:
        with self._lock:
            if self._fd < 0:
                raise Cancelled
            try:
                piece = os.pread(self._fd, length, at)
            except OSError as error:
                problem = f"it cannot be read ({error.strerror})"
                raise BadInputError(self._name, at, problem) from None
        if not piece:
            raise BadInputError(self._name, at, "it is shorter than it was")
        return piece


def locate(source: ByteSource, changeset: Changeset, row: int, name: str) -> Located | None:
    """`ImageReader.located` for a layer that is a range of the file `name`.

    None if the layer is compressed, or a stream.
    """
    offset, size = int(changeset.data_offsets[row]), int(changeset.sizes[row])
    if not isinstance(source, FileRange) or offset < 0 or compression_of(source.window(0)[:6]):
        return None
    extents = []
    start = source.start + offset
    stored = 0
    for at, length in changeset.sparse.get(row, [(0, size)]):
        extents.append((at, start + stored, length))
        stored += length
    if offset + stored > (source.end or 0):
        raise BadInputError(name, None, str(TruncatedError(source.end or 0)))
    return Located(os.dup(source.fd), size, extents, name)
