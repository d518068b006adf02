"""Reads a layer out of the stream of its blob, and checks that it is the layer it should be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from layerscope.errors import BadInputError, RegistryError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.layer_bytes import bad_layer
from layerscope.images.registry_blob import BlobStream
from layerscope.images.registry_client import Check, no_check
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.compression import CompressionError, compression_of, decompressed
from layerscope.oci.tar_header import TarError

Read = Callable[[int], bytes]

#: Tars are padded to records of 10 KiB, some to more; what goes on behind their end for longer is
#: not unpacked by anybody, and not worth to be decompressed.
_MOST_PADDING = 64 << 20
_PIECE = 1 << 20


def read_blob_layer(
    blob: BlobStream, diff_id: str, file: str, name: str, check: Check = no_check
) -> Changeset:
    """Reads a layer.

    Args:
        blob: The layer as it is stored, from its beginning.
        diff_id: What the digest of the uncompressed layer must be.
        file: What the image is called, for errors.
        name: What the layer is called, for errors.
        check: Raises to stop the work; of few bytes can come many.

    Raises:
        RegistryError: It is another layer than it should be, or cannot be had.
        BadInputError: It is damaged, and was so when it was pushed.
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
        # A blob without any byte is an empty layer, which old builders wrote.
        changeset = read_changeset(source) if source.window(0) else Changeset.empty()
        padding = 0
        while piece := hashing(_PIECE):
            padding += len(piece)
            if padding > _MOST_PADDING:
                raise RegistryError(
                    f"{file}, {name}: more than {_MOST_PADDING >> 20} MiB follow the end of "
                    "its tar.",
                    "That is no layer of a sane builder: do not use the image.",
                )
    except (TarError, TruncatedError, CompressionError) as error:
        # Bytes that were garbled on their way make no sense either, and that is said first.
        blob.verify()
        raise _damaged(error, file, name) from None
    blob.verify()
    if digest is not None and digest.hexdigest() != diff_id.partition(":")[2]:
        raise RegistryError(
            f"{file}, {name}: the layer is not the one that the image's configuration names.",
            "Manifest and configuration do not belong together: do not use the image.",
        )
    return changeset


def plain_reader(read: Read) -> Read:
    """A read function over the decompressed bytes, whose compression is told by how they begin."""
    pending = b""
    while len(pending) < 6 and (more := read(64 << 10)):
        pending += more
    kind = compression_of(pending[:6])

    def again(size: int) -> bytes:
        nonlocal pending
        if pending:
            piece, pending = pending[:size], pending[size:]
            return piece
        return read(size)

    return again if kind is None else decompressed(kind, again)


def _damaged(
    error: TarError | TruncatedError | CompressionError, file: str, name: str
) -> BadInputError:
    label = name.removeprefix("layer ")
    if isinstance(error, TarError):
        return bad_layer(file, label, None, error.offset, error.problem)
    if isinstance(error, TruncatedError):
        return bad_layer(file, label, None, error.offset, "the layer is truncated")
    return BadInputError(file, None, f"{name}: {error}")
