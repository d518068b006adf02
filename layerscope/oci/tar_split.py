"""tar-split: the headers of a layer, which engines keep to rebuild its tar stream.

An engine that unpacks a layer into a folder writes `tar-split.json.gz` beside it
(github.com/vbatts/tar-split, tar/storage: one JSON object per line). Objects of type 2 hold the
bytes of the stream between the contents of files, objects of type 1 the size of the content that
comes next. Read as a stream with holes, that yields the layer's entries exactly as an export would,
without looking at any inode of the folder.

There are two ways to read it. `TarSplitSource` provides `tar_scan.scan` with the stream of any such
file, line by line. `scan_usual` is much faster, and reads files as engines write them: lines of
type 2 and 1 alternate, and each of type 2 ends with the header of the next line's entry. So headers
are at the ends of lines, and thousands are decoded at once. It rejects everything else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
import numpy.typing as npt
import pybase64

from layerscope.oci import tar_header as th
from layerscope.oci.byte_source import ByteSource, TruncatedError
from layerscope.oci.tar_extended import MAX_KEPT
from layerscope.oci.tar_header import BLOCK, TarError
from layerscope.oci.tar_scan import HeaderBatch, scan

Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

# With the standard library, base64 would take a third of the time.
_decoded = partial(pybase64.b64decode, validate=True)

#: The limit of an object: the largest extended header, in base64.
LONGEST = 16 << 20

#: Bytes read at once: some thousand entries, enough for numpy.
_PIECE = 2 << 20
_SEGMENT = b'{"type":2,"payload":"'
_BEHIND = b'","position":'
_FILE = b'{"type":1,'
_SIZE = b'"size":'
_END = bytes(2 * BLOCK)

#: Characters of base64 for a header and up to two bytes before it, which complete its groups.
_WIDTH = 688
#: The missing end of a header's base64 without its padding, by the number of bytes before it.
_MISSING = (b"AAAAA", b"AAAA", b"AA")


class TarSplitError(ValueError):
    """A file that tar-split did not write; the message is the reason."""


class TarSplitSource(ByteSource):
    """A layer's tar stream without the contents of its files, for `tar_scan.scan`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._segments = _segments(_lines(read))
        self._data = b""
        self._start = 0

    def window(self, offset: int) -> bytes:
        while (position := offset - self._start) >= len(self._data):
            found = next(self._segments, None)
            if found is None:
                return b""
            self._start, self._data = found
        if position < 0:
            raise TarError(offset, "a header is where the content of a file should be")
        data = self._data[position:] if position else self._data
        if len(data) < BLOCK:
            # Two segments may follow each other without content in between.
            found = next(self._segments, None)
            if found is not None:
                start, more = found
                if start != offset + len(data):
                    raise TarError(offset, "a header breaks off")
                self._start, self._data = offset, data + more
                return self._data
        return data

    def read(self, offset: int, size: int) -> bytes:
        data = self.window(offset)
        while len(data) < size:
            more = self.window(offset + len(data))
            if not more:
                raise TruncatedError(offset + len(data))
            data += more
            self._start, self._data = offset, data
        return data[:size]


def _lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    rest = b""
    while piece := read(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > LONGEST:
            raise TarSplitError("a line is too long")
    if rest:
        yield rest


@dataclass(frozen=True, slots=True)
class FileContent:
    """The content of a file, which comes next in the stream."""

    path: bytes  # As in the tar.
    size: int


def parts(read: Callable[[int], bytes]) -> Iterator[bytes | FileContent]:
    """The parts of a layer's tar stream, in order; raises TarSplitError."""
    for line in _lines(read):
        try:
            document = json.loads(line or b"{}")
            if document.get("type") == 2:
                yield _decoded(document["payload"])
            elif size := int(document.get("size") or 0):
                raw = document.get("name_raw")
                name = document.get("name") or ""
                yield FileContent(os.fsencode(name) if raw is None else _decoded(raw), size)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise TarSplitError("it is not what tar-split writes") from None


def _segments(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """The bytes between contents, each with its offset in the tar stream."""
    offset = 0
    head = len(_SEGMENT)
    try:
        for line in lines:
            # Nearly all lines look like this, and finding a quote is much faster than parsing JSON.
            if line.startswith(_SEGMENT):
                data = _decoded(line[head : line.index(b'"', head)])
                yield offset, data
                offset += len(data)
            elif line.startswith(_FILE):
                place = line.rfind(_SIZE)
                if place > 0:
                    offset += int(line[place + 7 : line.index(b",", place)])
            elif line:
                document = json.loads(line)
                if document["type"] == 2:
                    data = _decoded(document["payload"])
                    yield offset, data
                    offset += len(data)
                else:
                    offset += int(document.get("size") or 0)
    except TarSplitError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TarSplitError("it is not what tar-split writes") from None


class Unusual(TarSplitError):
    """The file is not in the usual form, but may be valid."""


def scan_usual(read: Callable[[int], bytes]) -> Iterator[HeaderBatch]:
    """Yields the headers in batches, as `tar_scan.scan` does.

    Raises:
        Unusual: It is not in the usual form; discard everything yielded so far.
    """
    offset = kept = 0
    try:
        for text, last in _pairs(read):
            batch, offset = _batch(text, offset)
            kept += sum(override.weight for override in batch.overrides.values())
            if kept > MAX_KEPT:
                raise Unusual("it says very much about files")
            if batch.blocks:
                yield batch
            if last is not None:
                _check_end(last, offset)
    except (ValueError, IndexError):
        raise Unusual("it is not written in the usual form") from None


def _pairs(read: Callable[[int], bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Whole pairs of lines, and with the last of them the rest."""
    rest = b""
    pieces: list[bytes] = []
    size = 0
    while piece := read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size < _PIECE:
            continue
        text = rest + b"".join(pieces)
        pieces, size = [], 0
        cut = _behind_pairs(text)
        rest = text[cut:]
        if len(rest) > LONGEST:
            raise Unusual("a line is too long")
        if cut:
            yield text[:cut], None
    text = rest + b"".join(pieces)
    cut = _behind_pairs(text)
    yield text[:cut], text[cut:]


def _behind_pairs(text: bytes) -> int:
    place = text.rfind(b"\n" + _FILE)
    return text.find(b"\n", place + 1) + 1 if place >= 0 else 0


def _check_end(lines: bytes, offset: int) -> None:
    """The last object has the padding of the previous content, and the end of the archive."""
    if not lines.startswith(_SEGMENT):
        raise Unusual("it does not end as it should")
    payload = _decoded(lines[len(_SEGMENT) : lines.index(b'"', len(_SEGMENT))])
    if not payload[-offset & 511 :].startswith(_END):
        raise Unusual("it ends without the end of an archive")


def _batch(text: bytes, offset: int) -> tuple[HeaderBatch, int]:
    """The headers in pairs of lines, and the offset after the last one's content."""
    batch = HeaderBatch(end=offset)
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    if not ends.size:
        return batch, offset
    if ends.size % 2 or ends[-1] != len(text) - 1:
        raise Unusual("its lines do not come in pairs")
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    _check_heads(characters, starts)
    first = starts[::2] + len(_SEGMENT)
    behind = _payload_ends(characters, ends[::2])
    padding = (characters[behind - 1] == ord("=")) * 1 + (characters[behind - 2] == ord("=")) * 1
    lengths = (behind - first) // 4 * 3 - padding
    plain = (lengths >= BLOCK) & (lengths < 2 * BLOCK)
    blocks = _headers(text, first[plain], (behind - padding)[plain], lengths[plain] - BLOCK)
    matrix = np.frombuffer(b"".join(blocks), np.uint8).reshape(-1, BLOCK)
    sizes = np.zeros(len(lengths), np.int64)
    sizes[plain] = _contents(matrix)
    others = {}
    for row in np.flatnonzero(~plain).tolist():
        line = text[first[row] : behind[row]]
        others[row] = _decoded(line)
        sizes[row] = _told_size(text[starts[2 * row + 1] : ends[2 * row + 1]])
    after = offset + np.cumsum(lengths + sizes)
    before = after - sizes - lengths
    fill = -before & 511
    if (lengths[plain] - BLOCK != fill[plain]).any():
        raise Unusual("a header is not where the content before it ends")
    batch.offsets = (after - sizes - BLOCK).tolist()
    batch.data_offsets = (after - sizes).tolist()
    if others:
        for row, data in others.items():
            block = _extended(batch, row, data[fill[row] :], int(before[row] + fill[row]), sizes)
            blocks.insert(row, block)
    batch.blocks = blocks
    batch.end = int(after[-1])
    return batch, batch.end


def _check_heads(characters: UInt8, starts: Int64) -> None:
    """Makes sure that lines of type 2 and 1 alternate."""
    for parity, head in enumerate((_SEGMENT, _FILE)):
        own = starts[parity::2]
        for place, character in enumerate(head):
            if (characters[np.minimum(own + place, len(characters) - 1)] != character).any():
                raise Unusual("an object is not where it usually is")


def _payload_ends(characters: UInt8, ends: Int64) -> Int64:
    """The end of the payload in each line of type 2, before `","position":NUMBER}`."""
    found = np.zeros(len(ends), np.int64)
    for digits in range(1, 12):
        behind = ends - 1 - digits - len(_BEHIND)
        if (behind < 0).any():
            break
        # Such a line has more quotes, but a payload has none.
        found = np.where(characters[behind] == ord('"'), behind, found)
    for place, character in enumerate(_BEHIND):
        if (characters[found + place] != character).any():
            raise Unusual("an object does not end as it usually does")
    return found


def _headers(text: bytes, first: Int64, last: Int64, fill: Int64) -> list[bytes]:
    """The blocks at the end of payloads.

    `first` and `last` are the start and end of each one's base64, without padding, and `fill` is
    the number of bytes before the block.
    """
    odd = fill % 3
    rows = list(zip((first + fill // 3 * 4).tolist(), last.tolist(), odd.tolist(), strict=True))
    pieces = [text[start:end] for start, end, _ in rows]
    endings = [_MISSING[before] for _, _, before in rows]
    whole = _decoded(b"".join(chain.from_iterable(zip(pieces, endings, strict=True))))
    if len(whole) != len(rows) * (_WIDTH // 4 * 3):
        raise Unusual("a payload is not of the length that it seems to have")
    starts = (np.arange(len(rows)) * (_WIDTH // 4 * 3) + odd).tolist()
    return [whole[start : start + BLOCK] for start in starts]


def _contents(matrix: UInt8) -> Int64:
    kinds = matrix[:, th.TYPEFLAG]
    if np.isin(kinds, list(th.EXTENDED)).any() or (matrix[:, th.SIZE.stop - 1] > 32).any():
        raise Unusual("a header stands for another")
    if (kinds == th.FILE_V7).any():
        raise Unusual("an entry is a folder or a file by its name")
    digits = matrix[:, th.SIZE.start : th.SIZE.stop - 1].astype(np.int64) - ord("0")
    if ((digits < 0) | (digits > 7)).any():
        raise Unusual("a size is odd")
    sizes: Int64 = digits @ (8 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64))
    # As in `tar_scan`: only files have content.
    sizes[(kinds >= th.LINK) & (kinds <= th.FIFO)] = 0
    return sizes


def _told_size(line: bytes) -> int:
    place = line.rfind(_SIZE)
    size = int(line[place + len(_SIZE) : line.index(b",", place)]) if place > 0 else 0
    if size < 0:
        raise Unusual("a size is odd")
    return size


def _extended(batch: HeaderBatch, row: int, data: bytes, start: int, sizes: Int64) -> bytes:
    found = list(scan(_Headers(data)))
    if len(found) != 1 or len(found[0].blocks) != 1 or found[0].data_offsets != [len(data)]:
        raise Unusual("a header is not the last one of its object")
    (one,) = found
    if (sizes[row] + 511) & -512 != one.end - len(data):
        raise Unusual("a size is not that of the header")
    if one.overrides:
        batch.overrides[row] = one.overrides[0]
    batch.extended += [(block, start + offset) for block, offset in one.extended]
    batch.offsets[row] = start + one.offsets[0]
    return one.blocks[0]


class _Headers(ByteSource):
    """The headers of one entry, and nothing else, as a source to scan."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def window(self, offset: int) -> bytes:
        return self._data[offset:]

    def read(self, offset: int, size: int) -> bytes:
        data = self._data[offset : offset + size]
        if len(data) < size:
            raise TruncatedError(len(self._data))
        return data
