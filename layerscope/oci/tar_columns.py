"""Decodes thousands of tar headers at a time, column by column.

Nearly all headers have numbers with a fixed count of octal digits, decoded with one matrix product
for a whole column; others go through `tar_header.parse_number`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from layerscope.oci import tar_header as th
from layerscope.oci.tar_extended import Override
from layerscope.oci.tar_header import BLOCK, TarError
from layerscope.oci.tar_scan import HeaderBatch

Int64 = npt.NDArray[np.int64]

_LANES = np.uint64(0x00FF00FF00FF00FF)
_EIGHT = np.uint64(8)
_SIXTEEN = np.uint64(16)
_CHECKSUM_BLANKS = 8 * ord(" ")


@dataclass(slots=True)
class TarColumns:
    """Entries of an archive, one row each, as stored."""

    names: list[bytes]  # Not normalised.
    #: Type flags; a pre-POSIX NUL has become `0`, or `5` if the name ends in a slash.
    kinds: npt.NDArray[np.uint8]
    modes: Int64  # Mode fields, with the type bits that some tars add.
    uids: Int64
    gids: Int64
    sizes: Int64  # Sizes of files, with the holes of sparse files.
    mtimes: Int64  # Whole seconds since the epoch, rounded down.
    offsets: Int64  # The offsets of the headers in the archive.
    data_offsets: Int64  # The offsets of the content in the archive.
    #: Targets of hard and symbolic links, by row.
    links: dict[int, bytes] = field(default_factory=dict)
    #: Major and minor numbers, by row.
    devices: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Extended attributes by row.
    xattrs: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    #: Offset and length of the stored pieces of sparse files, by row.
    sparse: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    #: SHA-256 of the content by row, where known.
    digests: dict[int, bytes] = field(default_factory=dict)
    end: int = 0  # The offset in the archive after the last entry.


def decode(batches: Iterable[HeaderBatch]) -> Iterator[TarColumns]:
    """Decodes batches of headers.

    Raises:
        TarError: A header's checksum is wrong or a field is not a number. Reports the first
            such header.
    """
    for batch in batches:
        yield _decode(batch)


def _decode(batch: HeaderBatch) -> TarColumns:
    matrix = _matrix(batch.blocks)
    _verify_checksums(batch)
    kinds = matrix[:, th.TYPEFLAG].copy()
    sized = frozenset(row for row, o in batch.overrides.items() if o.size is not None)

    def numbers(where: slice, what: str, skip: frozenset[int] = frozenset()) -> Int64:
        values, good = _octal(matrix[:, where], where.stop - where.start - 1)
        for row in np.flatnonzero(~good).tolist():
            if row not in skip:
                block = batch.blocks[row]
                values[row] = th.parse_number(block[where], what, batch.offsets[row])
        return values

    columns = TarColumns(
        names=_strings(matrix, th.NAME),
        kinds=kinds,
        modes=numbers(th.MODE, "the mode"),
        uids=numbers(th.UID, "the uid"),
        gids=numbers(th.GID, "the gid"),
        sizes=numbers(th.SIZE, "the size", sized),
        mtimes=numbers(th.MTIME, "the mtime"),
        offsets=np.array(batch.offsets, np.int64),
        data_offsets=np.array(batch.data_offsets, np.int64),
        digests=batch.digests,
        end=batch.end,
    )
    _prefixes(batch, matrix, columns.names)
    for row in np.flatnonzero((kinds == th.LINK) | (kinds == th.SYMLINK)).tolist():
        columns.links[row] = th.c_string(batch.blocks[row][th.LINKNAME])
    devices = (kinds == th.CHAR) | (kinds == th.BLOCKDEV)
    # Go, and so every engine, rejects letters there in other headers too.
    odd = matrix[:, th.DEVMAJOR.start : th.DEVMINOR.stop].max(axis=1) > ord("7")
    for row in np.flatnonzero(devices | odd).tolist():
        numbers_there = _device(batch.blocks[row], batch.offsets[row])
        if devices[row]:
            columns.devices[row] = numbers_there
    for row, override in batch.overrides.items():
        _apply(override, columns, row)
    for row in np.flatnonzero(kinds == th.FILE_V7).tolist():
        kinds[row] = th.DIR if columns.names[row].endswith(b"/") else th.FILE
    kinds[(kinds == th.CONTIGUOUS) | (kinds == th.GNU_SPARSE_FILE)] = th.FILE
    _check(columns)
    return columns


def _device(block: bytes, offset: int) -> tuple[int, int]:
    if not th.has_devices(block):
        return 0, 0
    return (
        th.parse_number(block[th.DEVMAJOR], "the device number", offset),
        th.parse_number(block[th.DEVMINOR], "the device number", offset),
    )


def _check(columns: TarColumns) -> None:
    strange = np.flatnonzero((columns.kinds < th.FILE) | (columns.kinds > th.FIFO))
    if strange.size:
        row = int(strange[0])
        kind = chr(int(columns.kinds[row]))
        raise TarError(int(columns.offsets[row]), f"an entry has the unknown type {kind!r}")
    columns.sizes[columns.kinds != th.FILE] = 0


def _apply(override: Override, columns: TarColumns, row: int) -> None:
    if override.path is not None:
        columns.names[row] = override.path
    if override.link is not None and row in columns.links:
        columns.links[row] = override.link
    for column, value in (
        (columns.sizes, override.size),
        (columns.uids, override.uid),
        (columns.gids, override.gid),
        (columns.mtimes, override.mtime),
    ):
        if value is not None:
            column[row] = value
    if override.xattrs:
        columns.xattrs[row] = override.xattrs
    if override.sparse is not None:
        columns.sparse[row] = override.sparse
        columns.data_offsets[row] += override.data_shift


def _matrix(blocks: list[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(blocks), np.uint8).reshape(-1, BLOCK)


def _verify_checksums(batch: HeaderBatch) -> None:
    """Raises for the first header with a wrong checksum, including extended headers."""
    wrong: list[int] = []
    for blocks, offsets in (
        (batch.blocks, batch.offsets),
        ([block for block, _ in batch.extended], [offset for _, offset in batch.extended]),
    ):
        for row in np.flatnonzero(~_sums_match(_matrix(blocks))).tolist():
            if not th.checksum_matches(blocks[row]):
                wrong.append(offsets[row])
                break
    if wrong:
        raise th.bad_checksum(min(wrong))


def _sums_match(matrix: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Verifies the sums of all blocks at once, adding bytes in 16-bit lanes of 64-bit words."""
    words = matrix.view(np.uint64)
    lanes = (words & _LANES).sum(axis=1, dtype=np.uint64)
    lanes += ((words >> _EIGHT) & _LANES).sum(axis=1, dtype=np.uint64)
    totals = np.zeros(len(matrix), np.int64)
    for _ in range(4):
        totals += (lanes & np.uint64(0xFFFF)).astype(np.int64)
        lanes >>= _SIXTEEN
    field = matrix[:, th.CHECKSUM]
    totals -= field.sum(axis=1, dtype=np.int64)
    totals += _CHECKSUM_BLANKS
    stored, good = _octal(field, 6)
    result: npt.NDArray[np.bool_] = good & (stored == totals)
    return result


def _octal(field: npt.NDArray[np.uint8], digits: int) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Decodes octal digits, followed by NUL or space, in each row; also returns which are valid."""
    places = field[:, :digits].astype(np.int64) - ord("0")
    good: npt.NDArray[np.bool_] = np.logical_and.reduce((places >= 0) & (places < 8), axis=1)
    for place in range(digits, field.shape[1]):
        after = field[:, place]
        good &= (after == 0) | (after == ord(" "))
    weights = 8 ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    return places @ weights, good


def _strings(matrix: npt.NDArray[np.uint8], where: slice) -> list[bytes]:
    width = where.stop - where.start
    block = np.ascontiguousarray(matrix[:, where])
    values: list[bytes] = block.view(f"S{width}").ravel().tolist()
    # numpy only strips NULs at the end; bytes after an inner NUL are not part of the name.
    return [v if b"\0" not in v else th.c_string(v) for v in values]


def _prefixes(batch: HeaderBatch, matrix: npt.NDArray[np.uint8], names: list[bytes]) -> None:
    """Prepends the prefix field to the name, if a header's format has one."""
    starts = (th.PREFIX.start, th.GNU_CTIME.start, th.STAR_TRAILER.start)
    for row in np.flatnonzero(matrix[:, starts].any(axis=1)).tolist():
        names[row] = th.prefix(batch.blocks[row], batch.offsets[row]) + names[row]
