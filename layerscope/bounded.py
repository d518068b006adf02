"""Reading untrusted input within bounds: files, and endless lines.

A pipe, a device or an endless file instead of a regular one must neither block nor fill memory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

SMALL = 4 << 20  # Bytes of a file that people write, such as settings.
LARGE = 256 << 20  # Bytes of a file that a program writes.


def open_regular(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """Opens a regular file and returns its descriptor.

    Raises OSError if that fails or it is not a regular file; never waits for a pipe.
    """
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
    except ValueError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_file(path: str | Path, most: int = SMALL) -> bytes:
    """The content of a regular file; also raises OSError if it is larger than `most`."""
    with os.fdopen(open_regular(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))
    return data


class Lines:
    """Splits pieces of bytes into lines, in linear time; a line is cut after `longest` bytes."""

    def __init__(self, longest: int) -> None:
        self.offset = 0  # The start of the current line in all bytes.
        self._longest = longest
        self._rest = bytearray()
        self._seen = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines completed by this piece, without their ends; must be exhausted."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield bytes(self._rest + line[: self._longest - len(self._rest)])
            self.offset += self._seen + len(line) + 1
            self._rest.clear()
            self._seen = 0
        self._rest += rest[: self._longest - len(self._rest)]
        self._seen += len(rest)

    @property
    def cut(self) -> bool:
        """Whether the current line is too long."""
        return self._seen > self._longest

    @property
    def rest(self) -> bytes:
        """The last line, whose end has not arrived."""
        return bytes(self._rest)
