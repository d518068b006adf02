"""Layers from the streams of their blobs: their changesets, and the content of files.

Whatever can be verified is: the blob's digest, the diff_id, or the digests of single files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from layerscope.errors import BadInputError, RegistryError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.layer_stream import (
    Passed,
    damaged,
    file_pieces,
    files_of_stream,
    plain_reader,
)
from layerscope.images.pieces import Piece, filled
from layerscope.images.registry.blobs import BlobStream
from layerscope.images.registry.client import Check, no_check
from layerscope.images.registry.toc import TocLayer
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.compression import CompressionError
from layerscope.oci.tar_header import TarError
from layerscope.text import not_expected

#: Tars are padded to records of 10 KiB, some to more. Longer padding is not worth decompressing:
#: no program unpacks what follows it.
_MOST_PADDING = 64 << 20
_PIECE = 1 << 20


def read_blob_layer(
    blob: BlobStream, diff_id: str, file: str, name: str, check: Check = no_check
) -> Changeset:
    """Reads a layer from the beginning of its blob.

    `diff_id` is the expected digest of the uncompressed layer. `check` may raise to stop, as few
    bytes can decompress to many. Raises RegistryError if it is not the expected layer or cannot be
    fetched, and BadInputError if it was damaged before it was pushed.
    """
    algorithm = diff_id.partition(":")[0]
    digest = hashlib.new(algorithm) if algorithm in ("sha256", "sha512") else None
    read = plain_reader(blob.read)

    def hashing(size: int) -> bytes:
        check()
        piece = read(size)
        if digest is not None:
            digest.update(piece)
        return piece

    source = Stream(hashing, digest=True)
    try:
        # A blob of zero bytes is an empty layer, which old builders wrote.
        changeset = read_changeset(source) if source.window(0) else Changeset.empty()
        padding = 0
        while piece := hashing(_PIECE):
            padding += len(piece)
            if padding > _MOST_PADDING:
                raise RegistryError(
                    f"{file}, {name}: more than {_MOST_PADDING >> 20} MiB follow the end of "
                    "its tar.",
                    "No sane builder makes such a layer: do not use the image.",
                )
    except (TarError, TruncatedError, CompressionError) as error:
        # If the blob was corrupted in transit, report that instead.
        blob.verify()
        raise damaged(error, file, name.removeprefix("layer ")) from None
    blob.verify()
    if digest is not None and digest.hexdigest() != diff_id.partition(":")[2]:
        raise RegistryError(
            f"{file}, {name}: the layer is not the one that the image's configuration names: "
            f"{not_expected('diff_id', diff_id, f'{algorithm}:{digest.hexdigest()}')}.",
            "Manifest and configuration do not belong together: do not use the image.",
        )
    return changeset


def toc_content(layer: TocLayer, changeset: Changeset, row: int, what: str) -> Iterator[Piece]:
    """The content of a file, fetched as the ranges of its chunks.

    Raises:
        TocError: This is not possible; raised before the first piece.
        NoRangesError: Likewise.
        LayerscopeError: The content cannot be fetched.
    """
    pieces = layer.content(changeset.path(row), int(changeset.sizes[row]))
    yield from _checked(pieces, changeset, row, what)


def whole_content(
    blob: BlobStream,
    read_again: Callable[[], Changeset],
    changeset: Changeset,
    row: int,
    file: str,
    what: str,
) -> Iterator[Piece]:
    """The content of a file from its layer's blob, which is read up to the file's end.

    `read_again` reads the layer's changeset from the blob. It is called if this changeset lacks
    the content's location, because it came from a table of contents or a place that keeps no tar.
    Raises LayerscopeError if the content cannot be fetched.
    """
    if changeset.data_offsets[row] < 0 and changeset.sizes[row]:
        path = changeset.path(row)
        changeset = read_again()
        row = _file_row(changeset, path, file, what)
    try:
        source = Stream(plain_reader(blob.read))
        yield from _checked(file_pieces(source, changeset, row), changeset, row, what)
    except (TruncatedError, CompressionError) as error:
        raise damaged(error, file, what.removeprefix("layer ")) from None


def whole_contents(
    number: int, blob: BlobStream, changeset: Changeset, rows: Iterable[int], file: str, what: str
) -> Iterator[Passed]:
    """The content of several files of layer `number`; see `ImageReader.contents`.

    The changeset must have the content's locations.
    """
    passed = files_of_stream(
        number,
        lambda: Stream(plain_reader(blob.read)),
        changeset,
        rows,
        lambda error: damaged(error, file, what.removeprefix("layer ")),
    )
    for _, row, pieces in passed:
        yield number, row, _checked(pieces, changeset, row, what)


def _file_row(changeset: Changeset, path: bytes, file: str, what: str) -> int:
    paths = changeset.paths()
    for row in np.flatnonzero(changeset.kinds == EntryType.FILE).tolist():
        if paths[row] == path:
            return int(row)
    raise BadInputError(file, None, f"{what} does not have the files that it claims to have")


def _checked(pieces: Iterable[Piece], changeset: Changeset, row: int, what: str) -> Iterator[Piece]:
    """Verifies a file as its pieces pass, without reading the whole layer.

    Raises RegistryError if the content differs from the file that the layer listed.
    """
    known = b"" if changeset.digests is None else changeset.digests[row].tobytes()
    if not known.strip(b"\0"):
        yield from pieces
        return
    digest = hashlib.sha256()
    for piece in pieces:
        for data in filled([piece]):
            digest.update(data)
        yield piece
    if digest.digest() != known:
        raise RegistryError(
            f"The registry sent other bytes of a file in {what} than the layer has.",
            "The registry, or something between it and layerscope, is damaged or malicious.",
        )
