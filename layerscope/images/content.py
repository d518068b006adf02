"""The content of files, out of a layer's tar stream."""

from __future__ import annotations

from collections.abc import Iterator

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.layer_bytes import bad_layer, open_compressed
from layerscope.oci.byte_source import ByteSource, TruncatedError
from layerscope.oci.compression import CompressionError, compression_of

#: How much is handed out at a time.
PIECE = 1 << 20

_ZEROS = bytes(PIECE)


def layer_content(
    layer: ByteSource, changeset: Changeset, row: int, *, file: str, name: str
) -> Iterator[bytes]:
    """The bytes of a regular file in a layer, in pieces.

    Args:
        layer: The layer as it is stored, compressed or not.
        changeset: Its changeset.
        row: Row of a regular file in it.
        file: What the archive is called, for errors.
        name: What the layer is called, for errors.

    Raises:
        BadInputError: The layer is damaged.
    """
    try:
        kind = compression_of(layer.window(0)[:6])
        source = layer
        if kind is not None:
            source = open_compressed(kind, layer, digest=False)
        yield from file_pieces(source, changeset, row)
    except TruncatedError as error:
        raise bad_layer(file, name, None, error.offset, "the layer is truncated") from None
    except CompressionError as error:
        raise BadInputError(file, None, f"layer {name}: {error}") from None


def file_pieces(source: ByteSource, changeset: Changeset, row: int) -> Iterator[bytes]:
    """The bytes of a regular file in an uncompressed layer, holes filled.

    Raises:
        TruncatedError: The layer ends before the file does.
    """
    offset, size = int(changeset.data_offsets[row]), int(changeset.sizes[row])
    pieces = changeset.sparse.get(row)
    if pieces is None:
        yield from _range(source, offset, size)
        return
    reached = 0
    for start, length in pieces:
        yield from _hole(start - reached)
        yield from _range(source, offset, length)
        offset += length
        reached = start + length
    yield from _hole(size - reached)


def _range(source: ByteSource, offset: int, size: int) -> Iterator[bytes]:
    while size > 0:
        piece = source.read(offset, min(size, PIECE))
        yield piece
        offset += len(piece)
        size -= len(piece)


def _hole(size: int) -> Iterator[bytes]:
    while size > 0:
        yield _ZEROS[: min(size, PIECE)]
        size -= PIECE
