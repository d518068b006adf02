"""Decodes thousands of tar headers at a time, column by column.

Nearly every header writes its numbers as a fixed count of octal digits. Those are decoded as one
matrix product for a whole column; a row that does not fit goes through `tar_header.parse_number`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
    """Entries of an archive, one row each, as the archive has them.

    Attributes:
        names: The names, not normalised.
        links: Targets of hard and symbolic links, by row; empty for all others.
        kinds: Type flags; a pre-POSIX NUL has become `0`, or `5` if the name ends in a slash.
        modes: Mode fields as they are; the type bits some tars add are still there.
        uids: Owners.
        gids: Groups.
        sizes: Sizes of the files, holes of sparse files included.
        mtimes: Whole seconds since the epoch, rounded down.
        devices: Major and minor numbers, one row each.
        offsets: Where the headers are in the archive.
        data_offsets: Where the content is in the archive.
        xattrs: Extended attributes by row.
        sparse: Offset and length of the pieces that are stored, by row, for sparse files.
        digests: SHA-256 of the content by row, where it is known.
        end: How far into the archive this reaches, in bytes.
    """

    names: list[bytes]
    links: dict[int, bytes]
    kinds: npt.NDArray[np.uint8]
    modes: Int64
    uids: Int64
    gids: Int64
    sizes: Int64
    mtimes: Int64
    devices: dict[int, tuple[int, int]]
    offsets: Int64
    data_offsets: Int64
    xattrs: dict[int, dict[bytes, bytes]]
    sparse: dict[int, list[tuple[int, int]]]
    digests: dict[int, bytes]
    end: int


def decode(batches: Iterable[HeaderBatch]) -> Iterator[TarColumns]:
    """Decodes batches of headers.

    Raises:
        TarError: A header's checksum is wrong or a field is no number. The first one in the
            archive is named.
    """
    for batch in batches:
        yield _decode(batch)


def _decode(batch: HeaderBatch) -> TarColumns:
    matrix = _matrix(batch.blocks)
    _verify_checksums(batch)
    kinds = matrix[:, th.TYPEFLAG].copy()
    numbers = _Numbers(matrix, batch)
    columns = TarColumns(
        names=_strings(matrix, th.NAME),
        links={},
        kinds=kinds,
        modes=numbers.column(th.MODE, "the mode"),
        uids=numbers.column(th.UID, "the uid"),
        gids=numbers.column(th.GID, "the gid"),
        sizes=numbers.column(th.SIZE, "the size", skip=_rows_with_size(batch.overrides)),
        mtimes=numbers.column(th.MTIME, "the mtime"),
        devices={},
        offsets=np.array(batch.offsets, np.int64),
        data_offsets=np.array(batch.data_offsets, np.int64),
        xattrs={},
        sparse={},
        digests=batch.digests,
        end=batch.end,
    )
    _prefixes(matrix, columns.names)
    for row in np.flatnonzero((kinds == th.LINK) | (kinds == th.SYMLINK)).tolist():
        columns.links[row] = th.c_string(batch.blocks[row][th.LINKNAME])
    for row in np.flatnonzero((kinds == th.CHAR) | (kinds == th.BLOCKDEV)).tolist():
        block, offset = batch.blocks[row], batch.offsets[row]
        columns.devices[row] = (
            th.parse_number(block[th.DEVMAJOR], "the device number", offset),
            th.parse_number(block[th.DEVMINOR], "the device number", offset),
        )
    for row, override in batch.overrides.items():
        _apply(override, columns, row)
    for row in np.flatnonzero(kinds == th.FILE_V7).tolist():
        kinds[row] = th.DIR if columns.names[row].endswith(b"/") else th.FILE
    kinds[(kinds == th.CONTIGUOUS) | (kinds == th.GNU_SPARSE_FILE)] = th.FILE
    _check(columns)
    return columns


def _check(columns: TarColumns) -> None:
    """Refuses what no engine unpacks."""
    strange = np.flatnonzero((columns.kinds < th.FILE) | (columns.kinds > th.FIFO))
    if strange.size:
        row = int(strange[0])
        kind = chr(int(columns.kinds[row]))
        raise TarError(int(columns.offsets[row]), f"an entry has the unknown type {kind!r}")
    columns.sizes[columns.kinds != th.FILE] = 0


def _rows_with_size(overrides: dict[int, Override]) -> frozenset[int]:
    return frozenset(row for row, o in overrides.items() if o.size is not None)


def _apply(override: Override, columns: TarColumns, row: int) -> None:
    if override.path is not None:
        columns.names[row] = override.path
    if override.link is not None and row in columns.links:
        columns.links[row] = override.link
    if override.size is not None:
        columns.sizes[row] = override.size
    if override.uid is not None:
        columns.uids[row] = override.uid
    if override.gid is not None:
        columns.gids[row] = override.gid
    if override.mtime is not None:
        columns.mtimes[row] = override.mtime
    if override.xattrs:
        columns.xattrs[row] = override.xattrs
    if override.sparse is not None:
        columns.sparse[row] = override.sparse
        columns.data_offsets[row] += override.data_shift


def _matrix(blocks: list[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(blocks), np.uint8).reshape(-1, BLOCK)


def _verify_checksums(batch: HeaderBatch) -> None:
    """Raises for the first header with a wrong checksum, extended headers included."""
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
    """Compares the sums of all blocks at once: bytes are added in 16-bit lanes of 64-bit words."""
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
    """Reads `digits` octal digits, followed by NUL or space, in every row.

    Returns:
        The numbers, and for each whether it was written so.
    """
    places = field[:, :digits].astype(np.int64) - ord("0")
    good: npt.NDArray[np.bool_] = np.logical_and.reduce((places >= 0) & (places < 8), axis=1)
    if digits < field.shape[1]:
        after = field[:, digits]
        good &= (after == 0) | (after == ord(" "))
    weights = 8 ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    return places @ weights, good


class _Numbers:
    """Reads numeric columns of one batch."""

    def __init__(self, matrix: npt.NDArray[np.uint8], batch: HeaderBatch) -> None:
        self._matrix = matrix
        self._batch = batch

    def column(self, where: slice, what: str, skip: frozenset[int] = frozenset()) -> Int64:
        """One column.

        Args:
            where: The field.
            what: Its name, for errors.
            skip: Rows whose value does not count.

        Raises:
            TarError: A field holds no number.
        """
        values, good = _octal(self._matrix[:, where], where.stop - where.start - 1)
        for row in np.flatnonzero(~good).tolist():
            if row in skip:
                continue
            block, offset = self._batch.blocks[row], self._batch.offsets[row]
            values[row] = th.parse_number(block[where], what, offset)
        return values


def _strings(matrix: npt.NDArray[np.uint8], where: slice) -> list[bytes]:
    """A text column, each value up to its first NUL."""
    width = where.stop - where.start
    block = np.ascontiguousarray(matrix[:, where])
    values: list[bytes] = block.view(f"S{width}").ravel().tolist()
    # numpy strips NULs at the end only; what stands behind one in the middle is not the name.
    return [v if b"\0" not in v else th.c_string(v) for v in values]


def _prefixes(matrix: npt.NDArray[np.uint8], names: list[bytes]) -> None:
    """Puts the prefix field of POSIX headers before the name; GNU uses those bytes otherwise."""
    rows = np.flatnonzero((matrix[:, th.PREFIX.start] != 0) & (matrix[:, th.MAGIC.stop - 1] == 0))
    for row in rows.tolist():
        block = matrix[row]
        if block[th.MAGIC].tobytes() == th.MAGIC_POSIX:
            names[row] = th.c_string(block[th.PREFIX].tobytes()) + b"/" + names[row]
