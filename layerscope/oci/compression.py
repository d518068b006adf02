"""Compression of layers and archives: told by the first bytes, since media types are often wrong.

gzip goes through ISA-L where it can be installed, which decompresses two to four times as fast as
zlib; zlib is the fall-back on other processors.
"""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

Read = Callable[[int], bytes]

_IN = 256 << 10


class CompressionError(ValueError):
    """Compressed bytes that cannot be decompressed; the message says why."""


def compression_of(start: bytes) -> str | None:
    """`gzip`, `zstd` or `xz`, told by the first six bytes; None for anything else."""
    if start[:2] == b"\x1f\x8b":
        return "gzip"
    if start[:4] == b"\x28\xb5\x2f\xfd" or (
        start[1:4] == b"\x2a\x4d\x18" and 0x50 <= start[0] < 0x60
    ):
        return "zstd"
    if start[:6] == b"\xfd7zXZ\0":
        return "xz"
    return None


def decompressed(kind: str, read: Read) -> Read:
    """A read function over the decompressed bytes.

    Memory stays bounded whatever the ratio: a piece of compressed input is given to the
    decompressor only after all that came of the one before has been taken.

    Args:
        kind: `gzip`, `zstd` or `xz`.
        read: Reads compressed bytes.

    Returns:
        A function that returns up to so many bytes, and none at the end. It raises
        `CompressionError` for bytes that are damaged or end too early.
    """
    if kind == "zstd":
        return _zstd(read)
    return _Members(kind, read).read


def _zstd(read: Read) -> Read:
    import zstandard

    class Source(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            return read(size)

    stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
        cast("IO[bytes]", Source()), read_size=_IN, read_across_frames=True
    )

    def take(size: int) -> bytes:
        try:
            return stream.read(size)
        except zstandard.ZstdError as error:
            raise CompressionError(f"the zstd stream is damaged ({error})") from None

    return take


class _Members:
    """gzip or xz members behind each other, as one stream."""

    def __init__(self, kind: str, read: Read) -> None:
        self._kind = kind
        self._read = read
        self._input = b""
        self._decompressor: Any = None
        self._started = False

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        while True:
            if self._decompressor is None:
                if not self._input:
                    self._input = self._read(_IN)
                if self._started and not self._input.strip(b"\0"):
                    # Padding behind the last member is passed over, as gzip(1) does.
                    if not self._input:
                        return b""
                    self._input = b""
                    continue
                if self._started and compression_of(self._input[:6]) != self._kind:
                    raise CompressionError(f"bytes follow the {self._kind} stream")
                self._decompressor = _decompressor(self._kind)
                self._started = True
            piece = self._step(size)
            if piece:
                return piece

    def _step(self, size: int) -> bytes:
        decompressor = self._decompressor
        try:
            if self._kind == "gzip":
                piece: bytes = decompressor.decompress(self._input, size)
                self._input = decompressor.unconsumed_tail
            else:
                piece = decompressor.decompress(self._input, size)
                self._input = b""
        except _ERRORS as error:
            raise CompressionError(f"the {self._kind} stream is damaged ({error})") from None
        if decompressor.eof:
            self._input = decompressor.unused_data
            self._decompressor = None
        elif not piece and not self._input:
            self._input = self._read(_IN)
            if not self._input:
                raise CompressionError(f"the {self._kind} stream ends too early")
        return piece


def _decompressor(kind: str) -> Any:
    if kind == "xz":
        return lzma.LZMADecompressor(memlimit=1 << 28)
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.decompressobj(wbits=31)
    return isal_zlib.decompressobj(wbits=31)


def _errors() -> tuple[type[Exception], ...]:
    errors: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, EOFError)
    try:
        from isal.igzip_lib import IsalError
    except ImportError:
        return errors
    return (*errors, cast("type[Exception]", IsalError))


_ERRORS = _errors()
