"""Lists a layer in a registry by its table of contents, and fetches single files out of it.

Only ranges of the blob are fetched, so its digest cannot be checked. The digest of the table can,
and must be: the manifest names it, in an annotation. What the table says of the layer is taken on
the word of whoever pushed the image, as every engine takes it that pulls such layers lazily; that
the uncompressed layer has the diff_id of the configuration is not known.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Callable, Iterator

from layerscope.errors import RegistryError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import build_changeset
from layerscope.images.registry_blob import BlobStream
from layerscope.images.registry_client import Check, RegistryClient
from layerscope.images.registry_layer import plain_reader
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.compression import CompressionError
from layerscope.oci.manifest import Descriptor
from layerscope.oci.tar_columns import TarColumns, decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan
from layerscope.oci.toc import (
    MAX_TOC,
    STARGZ_DIGEST,
    STARGZ_ENTRY,
    STARGZ_FOOTERS,
    Chunk,
    Toc,
    TocError,
    chunked_place,
    parse_toc,
    stargz_toc_offset,
)

#: How much of the end of an eStargz layer is fetched at once: the footer, and most tables whole.
_TAIL = 64 << 10
#: Below this a layer is as quickly read whole.
_SMALL = 96 << 10
_PIECE = 1 << 20
_ZEROS = bytes(_PIECE)


class TocLayer:
    """A layer that has a table of contents, or says so.

    Args:
        client: The repository.
        descriptor: The layer.
        what: What to call it.
        check: Raises to stop the work.
    """

    def __init__(
        self, client: RegistryClient, descriptor: Descriptor, what: str, check: Check
    ) -> None:
        self._client = client
        self._descriptor = descriptor
        self._what = what
        self._check = check
        self._end = descriptor.size

    def changeset(self) -> Changeset:
        """Lists the layer.

        Raises:
            TocError: It must be read whole instead.
            LayerscopeError: The registry does not give what is asked for.
        """
        toc, own_entry = self._read(None)
        columns = [toc.columns] if own_entry is None else [toc.columns, own_entry]
        try:
            return build_changeset(columns)
        except TarError as error:
            raise TocError(error.problem) from None

    def content(self, path: bytes, size: int) -> Iterator[bytes]:
        """The content of a file, by the ranges of its chunks; not verified here.

        Raises:
            TocError: It must be read out of the whole layer instead. Raised before the first piece.
            LayerscopeError: The content cannot be had.
        """
        toc, own_entry = self._read(path)
        if own_entry is not None and path == STARGZ_ENTRY:
            raise TocError("the table of contents does not list itself")
        if sum(chunk.size for chunk in toc.chunks) != size:
            raise TocError("the table of contents has another size")
        for chunk in toc.chunks:
            if chunk.offset >= self._end:
                raise TocError("a chunk lies behind the layer's content")
        return self._pieces(toc)

    def _pieces(self, toc: Toc) -> Iterator[bytes]:
        for chunk in toc.chunks:
            if chunk.offset < 0:
                yield from _zeros(chunk.size)
                continue
            following = bisect(toc.offsets, chunk.offset)
            end = toc.offsets[following] if following < len(toc.offsets) else self._end
            yield from self._chunk(chunk, end)

    def _chunk(self, chunk: Chunk, end: int) -> Iterator[bytes]:
        blob = BlobStream(
            self._client,
            self._descriptor,
            self._what,
            check=self._check,
            start=chunk.offset,
            end=end,
        )
        try:
            source = Stream(plain_reader(blob.read))
            position, left = chunk.inner, chunk.size
            while left:
                piece = source.read(position, min(left, _PIECE))
                yield piece
                position += len(piece)
                left -= len(piece)
        except (TruncatedError, CompressionError):
            raise RegistryError(
                f"The table of contents of {self._what} does not tell where its files are.",
                "Pull the image and read it from the engine.",
            ) from None
        finally:
            blob.close()

    def _read(self, wanted: bytes | None) -> tuple[Toc, TarColumns | None]:
        """The table, and the entry that it is itself where it is one."""
        place = chunked_place(self._descriptor.annotations, self._descriptor.size)
        if place is None:
            data, own_entry = self._stargz()
            return parse_toc(data, wanted), own_entry
        stored = self._range(place.offset, place.offset + place.size)
        if "sha256:" + hashlib.sha256(stored).hexdigest() != place.digest:
            raise TocError("the table of contents has another digest")
        self._end = place.offset
        data = _limited(plain_reader(_reader(stored)), place.full_size)
        if len(data) != place.full_size:
            raise TocError("the table of contents has another size")
        return parse_toc(data, wanted), None

    def _stargz(self) -> tuple[bytes, TarColumns]:
        size = self._descriptor.size
        promised = self._descriptor.annotations.get(STARGZ_DIGEST, "")
        tail_start = max(0, size - _TAIL)
        tail = self._range(tail_start, size)
        offset = stargz_toc_offset(tail)
        if offset is None or not 0 < offset < size - STARGZ_FOOTERS[-1]:
            raise TocError("there is no table of contents")
        self._end = offset
        if offset >= tail_start:
            member = tail[offset - tail_start :]
        elif size - offset > MAX_TOC:
            raise TocError("the table of contents is too large")
        else:
            member = self._range(offset, tail_start) + tail
        data, own_entry = _toc_in_tar(member)
        if "sha256:" + hashlib.sha256(data).hexdigest() != promised:
            raise TocError("the table of contents has another digest")
        return data, own_entry

    def _range(self, start: int, end: int) -> bytes:
        blob = BlobStream(
            self._client, self._descriptor, self._what, check=self._check, start=start, end=end
        )
        try:
            return blob.read_all()
        finally:
            blob.close()


def toc_digest(descriptor: Descriptor) -> str | None:
    """The digest of a layer's table of contents, where it says that it has one and it pays off."""
    if descriptor.size <= _SMALL:
        return None
    try:
        place = chunked_place(descriptor.annotations, descriptor.size)
    except TocError:
        return None
    return descriptor.annotations.get(STARGZ_DIGEST) if place is None else place.digest


def _toc_in_tar(member: bytes) -> tuple[bytes, TarColumns]:
    """The table out of the tar entry that an eStargz layer ends with, and that entry."""
    source = Stream(plain_reader(_reader(member)))
    try:
        for columns in decode(scan(source, batch_size=1)):
            size = int(columns.sizes[0])
            if columns.names[0] != STARGZ_ENTRY or size > MAX_TOC:
                break
            data = source.read(int(columns.data_offsets[0]), size)
            columns.digests[0] = hashlib.sha256(data).digest()
            columns.offsets[:] = -1
            columns.data_offsets[:] = -1
            return data, columns
    except (TarError, TruncatedError, CompressionError):
        pass
    raise TocError("the table of contents is damaged")


def _reader(data: bytes) -> Callable[[int], bytes]:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        piece = data[position : position + size]
        position += len(piece)
        return piece

    return read


def _limited(read: Callable[[int], bytes], limit: int) -> bytes:
    """All bytes of a stream, and one more than the limit where there are more."""
    pieces, size = [], 0
    try:
        while size <= limit and (piece := read(min(_PIECE, limit + 1 - size))):
            pieces.append(piece)
            size += len(piece)
    except CompressionError:
        raise TocError("the table of contents is damaged") from None
    return b"".join(pieces)


def _zeros(size: int) -> Iterator[bytes]:
    while size > 0:
        yield _ZEROS[: min(size, _PIECE)]
        size -= _PIECE
