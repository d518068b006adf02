"""tar-split: the headers of a layer, which engines keep to put its tar stream together again.

An engine that unpacks a layer into a folder writes `tar-split.json.gz` beside it
(github.com/vbatts/tar-split, tar/storage: one JSON object a line). Objects of type 2 hold the bytes
of the stream between the contents of files, objects of type 1 say how long the content is that
comes next. Read as a stream with holes, that gives the layer's entries to the last bit, as an
export would, and not one inode of its folder is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial

from layerscope.oci.byte_source import TruncatedError
from layerscope.oci.tar_header import BLOCK, TarError


def _base64() -> Callable[[bytes | str], bytes]:
    """What decodes base64: a third of all the work for the standard library."""
    try:
        import pybase64
    except ImportError:
        from binascii import a2b_base64

        return partial(a2b_base64, strict_mode=True)
    return partial(pybase64.b64decode, validate=True)


#: Decodes base64.
decoded = _base64()

#: More than any object has: the largest extended header, in base64.
LONGEST = 16 << 20

_PIECE = 1 << 20
_SEGMENT = b'{"type":2,"payload":"'
_FILE = b'{"type":1,'
_SIZE = b'"size":'


class TarSplitError(ValueError):
    """A file that is not what tar-split writes; the message says why."""


class TarSplitSource:
    """A layer's tar stream without the contents of its files, as `tar_scan.scan` reads it.

    Attributes:
        end: How long the stream is: not known before its end.
        digesting: There is no content to digest.
    """

    end: int | None = None
    digesting = False

    def __init__(self, read: Callable[[int], bytes]) -> None:
        """Makes a source.

        Args:
            read: Reads the decompressed JSON lines.
        """
        self._segments = _segments(_lines(read))
        self._data = b""
        self._start = 0

    def window(self, offset: int) -> bytes:
        """See `ByteSource.window`."""
        while (position := offset - self._start) >= len(self._data):
            found = next(self._segments, None)
            if found is None:
                return b""
            self._start, self._data = found
        if position < 0:
            raise TarError(offset, "a header is where the content of a file should be")
        data = self._data[position:] if position else self._data
        if len(data) < BLOCK:
            # Two that follow each other without content in between.
            found = next(self._segments, None)
            if found is not None:
                start, more = found
                if start != offset + len(data):
                    raise TarError(offset, "a header breaks off")
                self._start, self._data = offset, data + more
                return self._data
        return data

    def read(self, offset: int, size: int) -> bytes:
        """See `ByteSource.read`."""
        data = self.window(offset)
        while len(data) < size:
            more = self.window(offset + len(data))
            if not more:
                raise TruncatedError(offset + len(data))
            data += more
            self._start, self._data = offset, data
        return data[:size]

    def sha256(self, offset: int, size: int) -> bytes:
        """Never called; see `ByteSource.sha256`."""
        raise NotImplementedError

    def part(self, start: int, size: int, *, digest: bool = False) -> TarSplitSource:
        """Never called; see `ByteSource.part`."""
        raise NotImplementedError


def _lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    rest = b""
    while piece := read(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > LONGEST:
            raise TarSplitError("a line is too long")
    if rest:
        yield rest


def _segments(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """The bytes between contents, each with its offset in the tar stream."""
    offset = 0
    head = len(_SEGMENT)
    try:
        for line in lines:
            # Nearly all lines are written like this, and finding a quote is many times as fast as
            # parsing JSON.
            if line.startswith(_SEGMENT):
                data = decoded(line[head : line.index(b'"', head)])
                yield offset, data
                offset += len(data)
            elif line.startswith(_FILE):
                place = line.rfind(_SIZE)
                if place > 0:
                    offset += int(line[place + 7 : line.index(b",", place)])
            elif line:
                document = json.loads(line)
                if document["type"] == 2:
                    data = decoded(document["payload"])
                    yield offset, data
                    offset += len(data)
                else:
                    offset += int(document.get("size") or 0)
    except TarSplitError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TarSplitError("it is not what tar-split writes") from None
