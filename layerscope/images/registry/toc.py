"""Lists a layer in a registry from its table of contents, and fetches single files from it.

Only ranges of the blob are fetched, so its digest cannot be verified. The table's digest is: the
manifest has it in an annotation. Like every engine that pulls such layers lazily, layerscope trusts
the table to describe the layer; whether the layer has the configuration's diff_id is unknown.
"""

from __future__ import annotations

import hashlib
import io
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import closing

from layerscope.errors import RegistryError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import build_changeset
from layerscope.images.layer_stream import plain_reader, range_pieces
from layerscope.images.pieces import Hole, Piece
from layerscope.images.registry.blobs import BlobStream
from layerscope.images.registry.client import Check, RegistryClient
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

#: How much of the end of an eStargz layer is fetched at once: the footer, and most whole tables.
_TAIL = 64 << 10
#: Smaller layers are as quickly read whole.
_SMALL = 96 << 10
_PIECE = 1 << 20


class TocLayer:
    """A layer that has a table of contents, or claims to."""

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

        Raises TocError if it must be read whole instead, and LayerscopeError if the registry does
        not send what is requested.
        """
        toc, own_entry = self._read(None)
        columns = [toc.columns] if own_entry is None else [toc.columns, own_entry]
        try:
            changeset = build_changeset(columns)
        except TarError as error:
            raise TocError(error.problem) from None
        if changeset.outside:
            raise TocError("the table of contents has a name that leads out of the root")
        return changeset

    def content(self, path: bytes, size: int) -> Iterator[Piece]:
        """The content of a file, fetched as the ranges of its chunks; not verified here.

        Raises TocError, before the first piece, if it must be read from the whole layer, and
        LayerscopeError if the content cannot be fetched.
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

    def _pieces(self, toc: Toc) -> Iterator[Piece]:
        for chunk in toc.chunks:
            if chunk.offset < 0:
                yield Hole(chunk.size)
                continue
            following = bisect(toc.offsets, chunk.offset)
            end = toc.offsets[following] if following < len(toc.offsets) else self._end
            yield from self._chunk(chunk, end)

    def _chunk(self, chunk: Chunk, end: int) -> Iterator[bytes]:
        blob = self._blob(chunk.offset, end)
        try:
            source = Stream(plain_reader(blob.read))
            yield from range_pieces(source, chunk.inner, chunk.size)
        except (TruncatedError, CompressionError):
            raise RegistryError(
                f"The table of contents of {self._what} does not say where its files are.",
                "Pull the image with an engine, and open it there.",
            ) from None
        finally:
            blob.close()

    def _read(self, wanted: bytes | None) -> tuple[Toc, TarColumns | None]:
        """The table, and the tar entry that contains it, if any."""
        place = chunked_place(self._descriptor.annotations, self._descriptor.size)
        if place is None:
            data, own_entry = self._stargz()
            return parse_toc(data, wanted), own_entry
        stored = self._range(place.offset, place.offset + place.size)
        if "sha256:" + hashlib.sha256(stored).hexdigest() != place.digest:
            raise TocError("the table of contents has another digest")
        self._end = place.offset
        data = _limited(plain_reader(io.BytesIO(stored).read), place.full_size)
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
        with closing(self._blob(start, end)) as blob:
            return blob.read_all()

    def _blob(self, start: int, end: int) -> BlobStream:
        return BlobStream(
            self._client, self._descriptor, self._what, check=self._check, start=start, end=end
        )


def toc_digest(descriptor: Descriptor) -> str | None:
    """The digest of a layer's table of contents, if it claims one and using it pays off."""
    if descriptor.size <= _SMALL:
        return None
    try:
        place = chunked_place(descriptor.annotations, descriptor.size)
    except TocError:
        return None
    return descriptor.annotations.get(STARGZ_DIGEST) if place is None else place.digest


def _toc_in_tar(member: bytes) -> tuple[bytes, TarColumns]:
    """The table in the last tar entry of an eStargz layer, and that entry."""
    source = Stream(plain_reader(io.BytesIO(member).read))
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


def _limited(read: Callable[[int], bytes], limit: int) -> bytes:
    """All bytes of a stream, or one more than the limit if it is longer."""
    data = bytearray()
    try:
        while len(data) <= limit and (piece := read(min(_PIECE, limit + 1 - len(data)))):
            data += piece
    except CompressionError:
        raise TocError("the table of contents is damaged") from None
    return bytes(data)
