"""Bytes that come in order and are read in any: in memory first, then in a file without a name."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.text import docker_size, visible

#: What is kept in memory.
IN_MEMORY = 1 << 20


class Spool:
    """One thread appends, any may read.

    Attributes:
        size: How many bytes there are.
    """

    def __init__(self) -> None:
        self.size = 0
        self._memory: bytearray | None = bytearray()
        self._file: BinaryIO | None = None
        self._folder = ""
        self._lock = threading.Lock()

    def append(self, piece: bytes) -> None:
        """Adds bytes at the end.

        Raises:
            LayerscopeError: There is no room for them.
            Cancelled: It has been closed.
        """
        with self._lock:
            if self._memory is not None and self.size + len(piece) <= IN_MEMORY:
                self._memory += piece
            else:
                self._write(piece)
            self.size += len(piece)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset` on, fewer only where they end.

        Raises:
            Cancelled: It has been closed.
        """
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
        """Lets go of memory and room on the disk; may be called twice."""
        with self._lock:
            self._memory = None
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, piece: bytes) -> None:
        try:
            if self._memory is not None:
                self._folder = _folder()
                # Unlinked at once: nothing is left behind, however the program ends.
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
                _write_all(self._file.fileno(), bytes(self._memory), 0)
                self._memory = None
            if self._file is None:
                raise Cancelled
            _write_all(self._file.fileno(), piece, self.size)
        except OSError as error:
            if self._file is not None:
                # The room is given back to others, who may need it more.
                self._file.close()
                self._file = None
            self._memory = None
            raise LayerscopeError(_problem(error, self._folder, self.size), _HINT) from None


_HINT = "Set TMPDIR to a folder with more room."


def _problem(error: OSError, folder: str, size: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{visible(folder)} is full after {docker_size(size)} of the file."
    return f"{visible(folder)} cannot be written ({error.strerror})."


def _folder() -> str:
    """Where large files belong: not into /tmp, which may be memory."""
    large = Path("/var/tmp")  # noqa: S108 - the file has no name there
    if "TMPDIR" not in os.environ and large.is_dir() and os.access(large, os.W_OK):
        return str(large)
    return tempfile.gettempdir()


def _write_all(fd: int, data: bytes, offset: int) -> None:
    if not data.strip(b"\0"):
        # A sparse file may claim terabytes of zeros, which need no room.
        os.ftruncate(fd, offset + len(data))
        return
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
