"""Bytes written in order and read in any order, in memory or in an unnamed file."""

from __future__ import annotations

import os
import tempfile
import threading
from bisect import bisect_right
from pathlib import Path
from typing import BinaryIO

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.pieces import Hole, Piece
from layerscope.text import docker_size, visible
from layerscope.writing import FULL, write_all

#: Larger amounts go to a file.
IN_MEMORY = 1 << 20


class Spool:
    """Bytes that one thread appends and any thread may read; `size` is their number."""

    def __init__(self) -> None:
        self.size = 0
        self._memory: bytearray | None = bytearray()
        self._file: BinaryIO | None = None
        self._folder = ""
        self._starts: list[int] = []  # The starts of pieces that are not holes.
        self._ends: list[int] = []  # Their ends.
        self._lock = threading.Lock()

    def append(self, piece: Piece) -> None:
        """Appends bytes, or a hole.

        Raises LayerscopeError if there is no space and Cancelled if it has been closed.
        """
        with self._lock:
            size = piece.size if isinstance(piece, Hole) else len(piece)
            if self._memory is not None and self.size + size <= IN_MEMORY:
                self._memory += bytes(size) if isinstance(piece, Hole) else piece
            else:
                self._write(piece)
            if size and not isinstance(piece, Hole):
                if self._ends and self._ends[-1] == self.size:
                    self._ends[-1] += size
                else:
                    self._starts.append(self.size)
                    self._ends.append(self.size + size)
            self.size += size

    def extents(self, offset: int) -> list[tuple[int, int]]:
        """Starts and ends of the pieces from `offset` on that are not holes."""
        with self._lock:
            first = bisect_right(self._ends, offset)
            found = zip(self._starts[first:], self._ends[first:], strict=True)
            return [(max(start, offset), end) for start, end in found]

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset` on, fewer only at the end; raises Cancelled if it has been closed."""
        with self._lock:
            length = min(length, self.size - offset)
            if length <= 0:
                return b""
            if self._memory is not None:
                return bytes(self._memory[offset : offset + length])
            if self._file is None:
                raise Cancelled
            pieces = []
            while length > 0:
                piece = os.pread(self._file.fileno(), length, offset)
                pieces.append(piece)
                offset += len(piece)
                length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Frees memory and disk space; may be called more than once."""
        with self._lock:
            self._memory = None
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, piece: Piece) -> None:
        try:
            if self._memory is not None:
                self._folder = _folder()
                # It has no name, so nothing is left behind however the program ends.
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
                write_all(self._file.fileno(), self._memory)
                self._memory = None
            if self._file is None:
                raise Cancelled
            if isinstance(piece, Hole):
                os.ftruncate(self._file.fileno(), self.size + piece.size)
                os.lseek(self._file.fileno(), 0, os.SEEK_END)
            else:
                write_all(self._file.fileno(), piece)
        except OSError as error:
            if self._file is not None:
                # Other programs may need the space more.
                self._file.close()
                self._file = None
            self._memory = None
            what = f"cannot be written ({error.strerror})"
            if error.errno in FULL:
                what = f"is full after {docker_size(self.size)} of the file"
            hint = "Set TMPDIR to a folder with more space."
            raise LayerscopeError(f"{visible(self._folder)} {what}.", hint) from None


def _folder() -> str:
    """The folder for large files: not /tmp, which may be in memory."""
    large = Path("/var/tmp")  # noqa: S108 - the file has no name there
    if "TMPDIR" not in os.environ and large.is_dir() and os.access(large, os.W_OK):
        return str(large)
    return tempfile.gettempdir()
