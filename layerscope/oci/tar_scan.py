"""Finds the headers of a tar archive, seeking over the content.

The loop does as little as possible for each header (slice, size, type) and leaves the rest to
`tar_columns`, which decodes thousands at a time. `_Extended` handles long names, pax and sparse
files, one header at a time.
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
    apply_sparse,
    checked_path,
    parse_map_in_data,
    parse_pax,
    sparse_map,
    sparse_map_in_header,
)
from layerscope.oci.tar_header import BLOCK, TarError

#: Headers per batch: enough for numpy, and only 2 MiB.
BATCH = 4096

_ZERO_BLOCK = bytes(BLOCK)


@dataclass(slots=True)
class HeaderBatch:
    """Headers of an archive, in order, with the offsets of their content."""

    blocks: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    #: Offset of each entry's content, after extension blocks of its header.
    data_offsets: list[int] = field(default_factory=list)
    #: Blocks and offsets of the extended headers among them.
    extended: list[tuple[bytes, int]] = field(default_factory=list)
    #: The contents of extended headers, by row.
    overrides: dict[int, Override] = field(default_factory=dict)
    #: SHA-256 of regular files' content by row, if the source computes it.
    digests: dict[int, bytes] = field(default_factory=dict)
    end: int = 0  # Offset after the last entry of the batch: the scan's progress.


def scan(source: ByteSource, batch_size: int = BATCH) -> Iterator[HeaderBatch]:
    """Yields the headers of a tar archive in batches.

    A missing end-of-archive marker is accepted if the bytes end between two entries; bytes after
    the marker are ignored, as in every reader.

    With one header per batch, the content of each entry can be read from a stream before the scan
    continues.

    Raises TarError if a header is invalid, after yielding everything before it, and TruncatedError
    if the bytes end within an entry, after yielding that too.
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
                # The padding of the last entry may be missing.
                if error.offset < content_end:
                    failure = error
                break
            base, position, length = offset, 0, len(window)
            if length < BLOCK:
                if window.strip(b"\0"):
                    failure = TruncatedError(offset + length if end is None else end)
                break
        block = window[position : position + BLOCK]
        data_offset = offset + BLOCK
        kind = block[156]
        try:
            if block[135] > 32:
                size = th.parse_size(block, offset)
            else:
                size = int(block[124:135], 8)
                if size < 0:
                    raise ValueError
        except ValueError:
            if block == _ZERO_BLOCK:
                failure = _check_end(source, offset)
                break
            try:
                size = th.parse_size(block, offset)
            except TarError as error:
                # A wrong checksum is more telling than the odd number that it causes.
                failure = _bad_checksum(block, offset) or error
                break
        if kind in extended_types or extended.pending:
            try:
                if kind in extended_types and kind != th.GNU_SPARSE_FILE:
                    batch.extended.append((block, offset))
                    extended.extend(kind, size, offset, window, position + BLOCK)
                    offset = data_offset + ((size + 511) & -512)
                    if len(batch.extended) >= 2 * BATCH:
                        # Extended headers without an entry must not pile up either.
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
        if size and (49 <= kind <= 54 or (not kind and _is_folder(batch, block, offset))):
            # Links, devices, folders and fifos have no content whatever their size field contains;
            # Go's archive/tar, and so every engine, reads them this way.
            size = 0
        if end is not None and data_offset + size > end:
            failure = _bad_checksum(block, offset) or TruncatedError(end)
        elif size and digesting:
            try:
                digest = source.sha256(data_offset, size)
                said = batch.overrides.get(len(blocks))
                if said is None or said.sparse is None:
                    # The stored bytes of a sparse file are not its content.
                    batch.digests[len(blocks)] = digest
            except TruncatedError as error:
                failure = _bad_checksum(block, offset) or error
        blocks.append(block)
        offsets.append(offset)
        data_offsets.append(data_offset)
        content_end = data_offset + size
        offset = (content_end + 511) & -512
        if failure is not None:
            # The entry is still yielded: its header may be at fault.
            break
        if len(blocks) == batch_size:
            batch.end = offset
            yield batch
            batch = HeaderBatch()
            blocks, offsets, data_offsets = batch.blocks, batch.offsets, batch.data_offsets
    batch.end = offset
    # For an entry that was not reached.
    batch.overrides.pop(len(blocks), None)
    if blocks or batch.extended:
        yield batch
    if failure is not None:
        raise failure


def _bad_checksum(block: bytes, offset: int) -> TarError | None:
    """The error to report first for an invalid header: its checksum."""
    if th.checksum_matches(block):
        return None
    return th.bad_checksum(offset)


def _is_folder(batch: HeaderBatch, block: bytes, offset: int) -> bool:
    """Whether the next entry of a batch, whose type is NUL, is a folder by its name."""
    said = batch.overrides.get(len(batch.blocks))
    if said is not None and said.path is not None:
        return said.path.endswith(b"/")
    try:
        return th.full_name(block, offset).endswith(b"/")
    except TarError:
        return False  # Decoding reports it.


def _check_end(source: ByteSource, offset: int) -> TarError | None:
    """The archive ends at two zero blocks, or at one that is the last.

    Extended headers with no entry after them describe nothing. Readers disagree about one zero
    block with entries after it; Go rejects it, and so do we.
    """
    try:
        second = source.window(offset + BLOCK)[:BLOCK]
    except TruncatedError:
        return None
    if second.strip(b"\0"):
        return TarError(offset, "a zero block stands between two headers")
    return None


class _Extended:
    """Collects extended headers until the header they describe."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._path: bytes | None = None
        self._link: bytes | None = None
        self._records: dict[bytes, bytes] = {}
        self._records_at = 0
        self._kept = 0
        self.pending = False  # Whether they describe the next entry.

    def extend(self, kind: int, size: int, offset: int, window: bytes, start: int) -> None:
        """Takes an extended header.

        `window` has available bytes from `start` on, which may include the content.
        """
        if size > MAX_EXTENDED:
            raise TarError(offset, "the extended header is too long")
        data = window[start : start + size]
        if len(data) < size:
            data = self._source.read(offset + BLOCK, size)
        # As in Go, the last of several pax headers wins, GNU names precede pax paths, and a global
        # header, which has no effect itself, ends the description of the next entry.
        self.pending = kind != th.PAX_GLOBAL
        if kind == th.GNU_LONG_NAME:
            self._path = checked_path(th.c_string(data), offset + BLOCK)
        elif kind == th.GNU_LONG_LINK:
            self._link = checked_path(th.c_string(data), offset + BLOCK)
        else:
            self._records, self._records_at = parse_pax(data, offset + BLOCK), offset + BLOCK
        if kind == th.PAX_GLOBAL:
            self._clear()

    def _clear(self) -> None:
        self._path = self._link = None
        self._records = {}
        self.pending = False

    def finish(self, block: bytes, offset: int, size: int) -> tuple[int, int, Override]:
        """Takes the header that extended headers describe, or one with its own extension.

        Returns the size of the stored content, its offset, and replacements for header fields.
        """
        override = Override()
        records = self._records
        apply_pax(override, records, self._records_at)
        override.path = self._path or override.path
        override.link = self._link or override.link
        self._clear()
        data_offset = offset + BLOCK
        kind = block[th.TYPEFLAG]
        if override.stored_size is not None:
            size = override.stored_size
        if th.header_only(kind):
            size = 0
        elif size < 0:
            raise TarError(self._records_at, "the pax size is negative")
        if kind == th.GNU_SPARSE_FILE:
            data_offset = self._old_sparse(override, block, offset)
        else:
            apply_sparse(override, records, kind, self._records_at)
        if override.map_in_data:
            override.sparse, override.data_shift = self._map_in_data(override, data_offset, size)
        if override.sparse is not None:
            self._check_sparse(override, offset, size)
        self._kept += override.weight
        if self._kept > MAX_KEPT:
            raise TarError(offset, "xattrs and sparse maps take too much memory")
        return size, data_offset, override

    def _check_sparse(self, override: Override, offset: int, size: int) -> None:
        """Rejects a map that does not fit the stored data, as Go does when it reads it."""
        pieces = override.sparse or []
        if override.size is None:
            override.size = size
        if sum(length for _, length in pieces) != size - override.data_shift:
            raise TarError(offset, "the sparse map does not fit the data")
        if pieces and sum(pieces[-1]) > override.size:
            raise TarError(offset, "the sparse map reaches beyond the file's size")

    def _old_sparse(self, override: Override, block: bytes, offset: int) -> int:
        """Parses the old GNU sparse format, with its map in the header and blocks after it.

        Returns the offset of the content.
        """
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
        override.size = th.parse_size(block, offset, th.GNU_REAL_SIZE)
        override.sparse = sparse_map(numbers, override.size, offset)
        return data_offset

    def _map_in_data(
        self, override: Override, data_offset: int, size: int
    ) -> tuple[list[tuple[int, int]], int]:
        """The map before the data, read in growing pieces, as its length is unknown."""
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
