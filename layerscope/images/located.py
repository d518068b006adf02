"""Content of a file that lies uncompressed in a file on this host, and can be read anywhere."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from layerscope.errors import BadInputError, Cancelled
from layerscope.filesystem.changeset import Changeset
from layerscope.oci.byte_source import ByteSource, FileRange, TruncatedError
from layerscope.oci.compression import compression_of


class Located:
    """Pieces of an open file that are the content of another; between them are holes.

    Read with pread(2), and so shared between threads.

    Attributes:
        size: How long the content is, holes included.
    """

    def __init__(
        self, fd: int, size: int, extents: Sequence[tuple[int, int, int]], name: str
    ) -> None:
        """Takes a descriptor over.

        Args:
            fd: The open file; closed with this.
            size: How long the content is.
            extents: Offset in the content, offset in the file and length of each piece, in order.
            name: What the file is called, for errors.
        """
        self.size = size
        self._fd = fd
        self._extents = extents
        self._starts = [start for start, _, _ in extents]
        self._name = name
        # A descriptor that is closed while it is read could be another file's by then.
        self._lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the content; fewer only where it ends.

        Raises:
            BadInputError: The file is shorter than it was, or cannot be read.
            Cancelled: It has been closed.
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

    def close(self) -> None:
        """Closes the file; may be called twice."""
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


@runtime_checkable
class LocatingReader(Protocol):
    """An `ImageReader` that can tell where content lies."""

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """The content of a regular file, or None where it can be had as a stream only.

        Must be safe to call while another thread reads.

        Raises:
            LayerscopeError: The content cannot be read.
        """


def locate(source: ByteSource, changeset: Changeset, row: int, name: str) -> Located | None:
    """The content of a file in a layer that is a range of a file.

    Args:
        source: The layer as it is stored.
        changeset: Its changeset.
        row: Row of a regular file in it.
        name: What holds the layer, for errors.

    Returns:
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
