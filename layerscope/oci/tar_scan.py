"""Finds the headers of a tar archive, seeking over the content.

The loop does as little as it can for a header (slice, size, type) and leaves everything else to
`tar_columns`, which decodes thousands of headers at a time. What is not ordinary (long names, pax,
sparse files) goes to `_Extended`, one header at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from layerscope.oci import tar_header as th
from layerscope.oci.byte_source import ByteSource, TruncatedError
from layerscope.oci.tar_extended import (
    MAX_EXTENDED,
    MAX_KEPT,
    Override,
    apply_pax,
    checked_path,
    parse_map_in_data,
    parse_pax,
    sparse_map,
    sparse_map_in_header,
)
from layerscope.oci.tar_header import BLOCK, TarError

#: Headers in one batch: large enough for numpy, small enough (2 MiB) to be of no weight.
BATCH = 4096

_ZERO_BLOCK = bytes(BLOCK)


@dataclass(slots=True)
class HeaderBatch:
    """Some headers of an archive, in order, and where their content is.

    Attributes:
        blocks: The header blocks themselves.
        offsets: Offset of each header block.
        data_offsets: Offset of each entry's content, behind extension blocks of its header.
        extended: Blocks and offsets of the extended headers among them.
        overrides: What extended headers say, by row.
        digests: SHA-256 of regular files' content by row, where the source gives it.
        end: Offset behind the last entry of the batch: how far the scan has come.
    """

    blocks: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    data_offsets: list[int] = field(default_factory=list)
    extended: list[tuple[bytes, int]] = field(default_factory=list)
    overrides: dict[int, Override] = field(default_factory=dict)
    digests: dict[int, bytes] = field(default_factory=dict)
    end: int = 0


def scan(source: ByteSource, batch_size: int = BATCH) -> Iterator[HeaderBatch]:
    """Yields the headers of a tar archive in batches.

    A missing end-of-archive marker is accepted where the bytes end between two entries; bytes
    behind the marker are ignored, as every reader does.

    Args:
        source: The bytes.
        batch_size: Headers in a batch. With 1, the content of each entry can be read from a
            stream before the next header is looked for.

    Raises:
        TarError: A header is not one. What came before it has been yielded.
        TruncatedError: The bytes end within an entry. It has been yielded, and what came before.
    """
    extended = _Extended(source)
    digesting = source.digesting
    extended_types = th.EXTENDED
    end = source.end
    offset = base = length = content_end = 0
    window = b""
    batch = HeaderBatch()
    blocks, offsets, data_offsets = batch.blocks, batch.offsets, batch.data_offsets
    failure: TarError | TruncatedError | None = None
    while True:
        position = offset - base
        if position + BLOCK > length:
            try:
                window = source.window(offset)
            except TruncatedError as error:
                # Of the last entry, the bytes that fill its block may be missing.
                if error.offset < content_end or extended.pending is not None:
                    failure = error
                break
            base, position, length = offset, 0, len(window)
            if length < BLOCK:
                if window.strip(b"\0") or extended.pending is not None:
                    failure = TruncatedError(offset + length if end is None else end)
                break
        block = window[position : position + BLOCK]
        data_offset = offset + BLOCK
        kind = block[156]
        try:
            if block[135] > 32:
                size = th.parse_size(block[th.SIZE], offset)
            else:
                size = int(block[124:135], 8)
                if size < 0:
                    raise ValueError
        except ValueError:
            if block == _ZERO_BLOCK:
                failure = _check_end(source, offset, extended.pending is not None)
                break
            try:
                size = th.parse_size(block[th.SIZE], offset)
            except TarError as error:
                # A wrong checksum says more than the odd number that comes of it.
                failure = _bad_checksum(block, offset) or error
                break
        if kind in extended_types or extended.pending is not None:
            try:
                if kind in extended_types and kind != th.GNU_SPARSE_FILE:
                    batch.extended.append((block, offset))
                    extended.extend(kind, size, offset, window, position + BLOCK)
                    offset = data_offset + ((size + 511) & -512)
                    if len(batch.extended) >= 2 * BATCH:
                        # Headers that say something about nothing must not pile up either.
                        batch.end = offset
                        yield batch
                        batch = HeaderBatch()
                        blocks, offsets = batch.blocks, batch.offsets
                        data_offsets = batch.data_offsets
                    continue
                size, data_offset, override = extended.finish(block, offset, size)
                batch.overrides[len(blocks)] = override
            except (TarError, TruncatedError) as error:
                failure = _bad_checksum(block, offset) or error
                break
        if size and 49 <= kind <= 54:
            # Links, devices, folders and fifos have no content whatever their size field says;
            # Go's archive/tar, and with it every engine, reads them so.
            size = 0
        if end is not None and data_offset + size > end:
            failure = _bad_checksum(block, offset) or TruncatedError(end)
        elif size and digesting:
            try:
                digest = source.sha256(data_offset, size)
                said = batch.overrides.get(len(blocks))
                if said is None or said.sparse is None:
                    # What is stored of a sparse file is not its content.
                    batch.digests[len(blocks)] = digest
            except TruncatedError as error:
                failure = _bad_checksum(block, offset) or error
        blocks.append(block)
        offsets.append(offset)
        data_offsets.append(data_offset)
        content_end = data_offset + size
        offset = (content_end + 511) & -512
        if failure is not None:
            # The entry is given out all the same: its header may be what is wrong.
            break
        if len(blocks) == batch_size:
            batch.end = offset
            yield batch
            batch = HeaderBatch()
            blocks, offsets, data_offsets = batch.blocks, batch.offsets, batch.data_offsets
    batch.end = offset
    # What was said of an entry that is not whole is said of nothing.
    batch.overrides.pop(len(blocks), None)
    if blocks or batch.extended:
        yield batch
    if failure is not None:
        raise failure


def _bad_checksum(block: bytes, offset: int) -> TarError | None:
    """The error to report first where a header makes no sense: that it is no header."""
    if th.checksum_matches(block):
        return None
    return th.bad_checksum(offset)


def _check_end(source: ByteSource, offset: int, pending: bool) -> TarError | None:
    """The archive ends at two zero blocks, or at one that is the last.

    One zero block with entries behind it is read by some as the end and by others not: what an
    image holds must not depend on that, and Go refuses it too.
    """
    if pending:
        return TarError(offset, "the archive ends behind an extended header")
    try:
        second = source.window(offset + BLOCK)[:BLOCK]
    except TruncatedError:
        return None
    if second.strip(b"\0"):
        return TarError(offset, "a zero block stands between two headers")
    return None


class _Extended:
    """Collects what extended headers say until the header that they are about.

    Attributes:
        pending: What has been said so far, or None.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._path: bytes | None = None
        self._link: bytes | None = None
        self._kept = 0
        self.pending: Override | None = None

    def extend(self, kind: int, size: int, offset: int, window: bytes, start: int) -> None:
        """Takes an extended header.

        Args:
            kind: Its type flag.
            size: The size of its content.
            offset: Where the header is in the archive.
            window: Bytes at hand, which may hold the content.
            start: Where the content would begin in them.
        """
        if size > MAX_EXTENDED:
            raise TarError(offset, "the extended header is too long")
        data = window[start : start + size]
        if len(data) < size:
            data = self._source.read(offset + BLOCK, size)
        if kind == th.PAX_GLOBAL:
            # Go reads global headers and applies them to nothing, so no engine shows their
            # effect; we check that they are well formed and do the same.
            parse_pax(data, offset + BLOCK)
            return
        # As Go has it: of several pax headers the last counts, and GNU names go before pax paths.
        if self.pending is None or kind in (th.PAX_NEXT, th.PAX_SOLARIS):
            self.pending = Override()
        if kind == th.GNU_LONG_NAME:
            self._path = checked_path(th.c_string(data), offset + BLOCK)
        elif kind == th.GNU_LONG_LINK:
            self._link = checked_path(th.c_string(data), offset + BLOCK)
        else:
            apply_pax(self.pending, parse_pax(data, offset + BLOCK), offset + BLOCK)

    def finish(self, block: bytes, offset: int, size: int) -> tuple[int, int, Override]:
        """Takes the header that extended headers were about, or one with its own extension.

        Returns:
            The size of the stored content, its offset, and what replaces fields of the header.
        """
        override, self.pending = self.pending or Override(), None
        override.path, self._path = self._path or override.path, None
        override.link, self._link = self._link or override.link, None
        data_offset = offset + BLOCK
        if block[th.TYPEFLAG] == th.GNU_SPARSE_FILE:
            size, data_offset = self._old_sparse(override, block, offset, size)
        elif override.stored_size is not None:
            size = override.stored_size
        if th.LINK <= block[th.TYPEFLAG] <= th.FIFO:
            size = 0
        if override.map_in_data:
            override.sparse, override.data_shift = self._map_in_data(override, data_offset, size)
        if override.sparse is not None:
            self._check_sparse(override, offset, size)
        self._kept += override.weight
        if self._kept > MAX_KEPT:
            raise TarError(offset, "xattrs and sparse maps take more memory than makes sense")
        return size, data_offset, override

    def _check_sparse(self, override: Override, offset: int, size: int) -> None:
        """Refuses a map that does not fit what is stored, as Go does when it reads the content."""
        pieces = override.sparse or []
        if override.size is None:
            override.size = size
        if sum(length for _, length in pieces) != size - override.data_shift:
            raise TarError(offset, "the sparse map does not fit the data")
        if pieces and sum(pieces[-1]) > override.size:
            raise TarError(offset, "the sparse map reaches beyond the file's size")

    def _old_sparse(
        self, override: Override, block: bytes, offset: int, size: int
    ) -> tuple[int, int]:
        """A file of the old GNU sparse format: the map is in the header and blocks behind it."""
        numbers = sparse_map_in_header(block, 4, th.GNU_SPARSE.start, offset)
        more = block[th.GNU_IS_EXTENDED]
        data_offset = offset + BLOCK
        while more:
            extension = self._source.read(data_offset, BLOCK)
            numbers += sparse_map_in_header(extension, 21, 0, data_offset)
            more = extension[504]
            data_offset += BLOCK
            if len(numbers) > MAX_EXTENDED:
                raise TarError(offset, "the sparse map is too long")
        if override.stored_size is not None:
            size = override.stored_size
        override.size = th.parse_size(block[th.GNU_REAL_SIZE], offset)
        override.sparse = sparse_map(numbers, override.size, offset)
        return size, data_offset

    def _map_in_data(
        self, override: Override, data_offset: int, size: int
    ) -> tuple[list[tuple[int, int]], int]:
        """The map at the head of the data; read in growing pieces, since its length is unknown."""
        have = min(size, 4 * BLOCK)
        while True:
            found = parse_map_in_data(
                self._source.read(data_offset, have), override.size, data_offset
            )
            if found is not None:
                return found
            if have >= min(size, MAX_EXTENDED):
                raise TarError(data_offset, "the sparse map has no end")
            have = min(size, 8 * have)
