"""Content of single files out of layers in a registry, checked against what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from layerscope.errors import BadInputError, RegistryError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.images.content import file_pieces, files_of_stream
from layerscope.images.layer_bytes import bad_layer
from layerscope.images.passing import Passed
from layerscope.images.registry_blob import BlobStream
from layerscope.images.registry_layer import plain_reader
from layerscope.images.registry_toc import TocLayer
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.compression import CompressionError


def toc_content(layer: TocLayer, changeset: Changeset, row: int, what: str) -> Iterator[bytes]:
    """The bytes of a file by the ranges of its chunks.

    Raises:
        TocError: That is not possible; raised before the first piece.
        NoRangesError: Likewise.
        LayerscopeError: The content cannot be had.
    """
    path = changeset.path(row)
    pieces = layer.content(path, int(changeset.sizes[row]))
    yield from _checked(pieces, changeset, row, what)


def whole_content(
    blob: BlobStream,
    read_again: Callable[[], Changeset],
    changeset: Changeset,
    row: int,
    file: str,
    what: str,
) -> Iterator[bytes]:
    """The bytes of a file out of its layer, read as far as they reach.

    Args:
        blob: The layer as it is stored, from its beginning.
        read_again: Reads the layer's changeset anew, where this one does not say where the content
            is: it came from a table of contents, or from another place that has no tar.
        changeset: The layer's changeset.
        row: Row of a regular file in it.
        file: What the image is called, for errors.
        what: What the layer is called, for errors.

    Raises:
        LayerscopeError: The content cannot be had.
    """
    if changeset.data_offsets[row] < 0 and changeset.sizes[row]:
        path = changeset.path(row)
        changeset = read_again()
        row = _file_row(changeset, path, file, what)
    try:
        source = Stream(plain_reader(blob.read))
        yield from _checked(file_pieces(source, changeset, row), changeset, row, what)
    except (TruncatedError, CompressionError) as error:
        raise _damaged(error, file, what) from None


def whole_contents(
    number: int, blob: BlobStream, changeset: Changeset, rows: Iterable[int], file: str, what: str
) -> Iterator[Passed]:
    """The content of many files out of their layer; see `PassingReader.contents`.

    Args:
        number: Number of the layer.
        blob: The layer as it is stored, from its beginning.
        changeset: Its changeset, which says where the content is.
        rows: Rows of regular files in it, each but once.
        file: What the image is called, for errors.
        what: What the layer is called, for errors.
    """
    passed = files_of_stream(
        number,
        lambda: Stream(plain_reader(blob.read)),
        changeset,
        rows,
        lambda error: _damaged(error, file, what),
    )
    for _, row, pieces in passed:
        yield number, row, _checked(pieces, changeset, row, what)


def _damaged(error: TruncatedError | CompressionError, file: str, what: str) -> BadInputError:
    if isinstance(error, TruncatedError):
        label = what.removeprefix("layer ")
        return bad_layer(file, label, None, error.offset, "the layer is truncated")
    return BadInputError(file, None, f"{what}: {error}")


def _file_row(changeset: Changeset, path: bytes, file: str, what: str) -> int:
    paths = changeset.paths()
    for row in np.flatnonzero(changeset.kinds == EntryType.FILE).tolist():
        if paths[row] == path:
            return int(row)
    raise BadInputError(file, None, f"{what} has not the files that it is said to have")


def _checked(pieces: Iterable[bytes], changeset: Changeset, row: int, what: str) -> Iterator[bytes]:
    """Hands pieces on; the layer's own digest is of no use where only a part of it is read.

    Raises:
        RegistryError: The content is not what it was when the layer was listed.
    """
    known = b""
    if changeset.digests is not None:
        known = changeset.digests[row].tobytes()
    if not known.strip(b"\0"):
        yield from pieces
        return
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.digest() != known:
        raise RegistryError(
            f"The registry sent other bytes of a file in {what} than the layer has.",
            "The registry, or something between it and us, is damaged or lies.",
        )
