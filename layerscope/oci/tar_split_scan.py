"""Finds the headers in a tar-split file that is written as nearly all are, thousands at a time.

`TarSplitSource` gives `tar_scan.scan` the stream that any such file stands for, line by line. As
engines write it, lines of type 2 and 1 take turns, and each of type 2 ends with the header of the
entry that the line behind it is about. Headers then are where the lines end, and are decoded from
base64 in one go. Whatever is written otherwise is refused here, and left to the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt

from layerscope.oci import tar_header as th
from layerscope.oci import tar_split
from layerscope.oci.byte_source import TruncatedError
from layerscope.oci.tar_extended import MAX_KEPT
from layerscope.oci.tar_header import BLOCK
from layerscope.oci.tar_scan import HeaderBatch, scan
from layerscope.oci.tar_split import LONGEST, TarSplitError

Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

#: Some thousand entries: enough for numpy, and of no weight.
_PIECE = 2 << 20

_SEGMENT = b'{"type":2,"payload":"'
_FILE = b'{"type":1,'
_BEHIND = b'","position":'
_SIZE = b'"size":'
_END = bytes(2 * BLOCK)

#: Characters of base64 for a header and up to two bytes before it, which make its groups whole.
_WIDTH = 688
#: What is missing at the end of a header's base64 without its padding, by the bytes before it.
_MISSING = (b"AAAAA", b"AAAA", b"AA")


class Unusual(TarSplitError):
    """The file is not written in the usual form; nothing is said about whether it is sound."""


def scan_usual(read: Callable[[int], bytes]) -> Iterator[HeaderBatch]:
    """Yields the headers in batches, as `tar_scan.scan` does.

    Args:
        read: Reads the decompressed JSON lines.

    Raises:
        Unusual: It is not written in the usual form. What was yielded counts for nothing then.
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
    """Whole pairs of lines, and with the last of them what is behind them."""
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
    """Where the last whole line of type 1 ends."""
    place = text.rfind(b"\n" + _FILE)
    return text.find(b"\n", place + 1) + 1 if place >= 0 else 0


def _check_end(lines: bytes, offset: int) -> None:
    """The last object fills the block of the content before, and holds the end of an archive."""
    if not lines.startswith(_SEGMENT):
        raise Unusual("it does not end as it should")
    if not _payload(lines)[-offset & 511 :].startswith(_END):
        raise Unusual("it ends without the end of an archive")


def _payload(line: bytes) -> bytes:
    return tar_split.decoded(line[len(_SEGMENT) : line.index(b'"', len(_SEGMENT))])


def _batch(text: bytes, offset: int) -> tuple[HeaderBatch, int]:
    """The headers in pairs of lines, and where the content of the last one ends."""
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
        others[row] = tar_split.decoded(line)
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
    """Makes sure that lines of type 2 and 1 take turns."""
    for parity, head in enumerate((_SEGMENT, _FILE)):
        own = starts[parity::2]
        for place, character in enumerate(head):
            if (characters[np.minimum(own + place, len(characters) - 1)] != character).any():
                raise Unusual("an object is not where it usually is")


def _payload_ends(characters: UInt8, ends: Int64) -> Int64:
    """Where the payload of each line of type 2 ends, before `","position":NUMBER}`."""
    found = np.zeros(len(ends), np.int64)
    for digits in range(1, 12):
        behind = ends - 1 - digits - len(_BEHIND)
        if (behind < 0).any():
            break
        # There is a quote in the middle of that, too, but none in a payload.
        found = np.where(characters[behind] == ord('"'), behind, found)
    for place, character in enumerate(_BEHIND):
        if (characters[found + place] != character).any():
            raise Unusual("an object does not end as it usually does")
    return found


def _headers(text: bytes, first: Int64, last: Int64, fill: Int64) -> list[bytes]:
    """The blocks at the end of payloads.

    Args:
        text: The lines.
        first: Where the base64 of each begins.
        last: Where it ends, without padding.
        fill: How many bytes there are before the block.
    """
    odd = fill % 3
    rows = list(zip((first + fill // 3 * 4).tolist(), last.tolist(), odd.tolist(), strict=True))
    pieces = [text[start:end] for start, end, _ in rows]
    endings = [_MISSING[before] for _, _, before in rows]
    whole = tar_split.decoded(b"".join(chain.from_iterable(zip(pieces, endings, strict=True))))
    if len(whole) != len(rows) * (_WIDTH // 4 * 3):
        raise Unusual("a payload is not of the length that it seems to have")
    starts = (np.arange(len(rows)) * (_WIDTH // 4 * 3) + odd).tolist()
    return [whole[start : start + BLOCK] for start in starts]


def _contents(matrix: UInt8) -> Int64:
    """How long the content behind each header is."""
    kinds = matrix[:, th.TYPEFLAG]
    if np.isin(kinds, list(th.EXTENDED)).any() or (matrix[:, th.SIZE.stop - 1] > 32).any():
        raise Unusual("a header stands for another")
    digits = matrix[:, th.SIZE.start : th.SIZE.stop - 1].astype(np.int64) - ord("0")
    if ((digits < 0) | (digits > 7)).any():
        raise Unusual("a size is odd")
    sizes: Int64 = digits @ (8 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64))
    # As in `tar_scan`: what is no file has no content.
    sizes[(kinds >= th.LINK) & (kinds <= th.FIFO)] = 0
    return sizes


def _told_size(line: bytes) -> int:
    """The size in a line of type 1."""
    place = line.rfind(_SIZE)
    size = int(line[place + len(_SIZE) : line.index(b",", place)]) if place > 0 else 0
    if size < 0:
        raise Unusual("a size is odd")
    return size


def _extended(batch: HeaderBatch, row: int, data: bytes, start: int, sizes: Int64) -> bytes:
    """Takes a header with extended ones before it."""
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


class _Headers:
    """The headers of one entry as the source of a scan, which finds nothing behind them."""

    end: int | None = None
    digesting = False

    def __init__(self, data: bytes) -> None:
        self._data = data

    def window(self, offset: int) -> bytes:
        """See `ByteSource.window`."""
        return self._data[offset:]

    def read(self, offset: int, size: int) -> bytes:
        """See `ByteSource.read`."""
        data = self._data[offset : offset + size]
        if len(data) < size:
            raise TruncatedError(len(self._data))
        return data

    def sha256(self, offset: int, size: int) -> bytes:
        """Never called; see `ByteSource.sha256`."""
        raise NotImplementedError

    def part(self, start: int, size: int, *, digest: bool = False) -> _Headers:
        """Never called; see `ByteSource.part`."""
        raise NotImplementedError
