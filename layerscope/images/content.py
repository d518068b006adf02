"""The content of files, out of a layer's tar stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.layer_bytes import bad_layer, open_compressed
from layerscope.images.passing import Passed, in_order, passing_over
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
        yield from file_pieces(_uncompressed(layer), changeset, row)
    except (TruncatedError, CompressionError) as error:
        raise _damaged(error, file, name) from None


def layer_contents(
    number: int,
    layer: ByteSource,
    changeset: Changeset,
    rows: Iterable[int],
    *,
    file: str,
    name: str,
) -> Iterator[Passed]:
    """The content of many files of a layer in one pass; see `PassingReader.contents`.

    Args:
        number: Number of the layer.
        layer: The layer as it is stored, compressed or not.
        changeset: Its changeset.
        rows: Rows of regular files in it, each but once.
        file: What the archive is called, for errors.
        name: What the layer is called, for errors.
    """
    yield from files_of_stream(
        number,
        lambda: _uncompressed(layer),
        changeset,
        rows,
        lambda error: _damaged(error, file, name),
    )


def files_of_stream(
    number: int,
    open_stream: Callable[[], ByteSource],
    changeset: Changeset,
    rows: Iterable[int],
    told: Callable[[TruncatedError | CompressionError], LayerscopeError],
) -> Iterator[Passed]:
    """The content of many files of an uncompressed layer; see `PassingReader.contents`.

    Args:
        number: Number of the layer.
        open_stream: Gives its bytes from the beginning; called once, for the first file.
        changeset: Its changeset.
        rows: Rows of regular files in it, each but once.
        told: The error for users.
    """
    source: ByteSource | None = None
    failure: LayerscopeError | None = None

    def pieces(row: int) -> Iterator[bytes]:
        nonlocal source, failure
        if not changeset.sizes[row]:
            return
        if failure is not None:
            raise failure
        try:
            if source is None:
                source = open_stream()
            yield from passing_over(source, int(changeset.data_offsets[row]))
            yield from file_pieces(source, changeset, row)
        except (TruncatedError, CompressionError) as error:
            failure = told(error)
            raise failure from None
        except LayerscopeError as error:
            failure = error
            raise

    for row in in_order(changeset, rows):
        yield number, row, pieces(row)


def _uncompressed(layer: ByteSource) -> ByteSource:
    kind = compression_of(layer.window(0)[:6])
    return layer if kind is None else open_compressed(kind, layer, digest=False)


def _damaged(error: TruncatedError | CompressionError, file: str, name: str) -> BadInputError:
    if isinstance(error, TruncatedError):
        return bad_layer(file, name, None, error.offset, "the layer is truncated")
    return BadInputError(file, None, f"layer {name}: {error}")


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
