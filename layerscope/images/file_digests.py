"""Digests of files, known from the layer or read from the image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.filesystem.stack import Stack
from layerscope.images.reader import ImageReader

#: A sparse file can claim any size, and take for ever to read; beyond this it is not compared.
_MOST_SPARSE = 16 << 30


def content_of(stack: Stack, reader: ImageReader, row: int) -> Iterator[bytes]:
    """The bytes of a regular file's version, in pieces.

    Args:
        stack: The layers of the image.
        reader: The image.
        row: The version; of a hard link, that of its inode is read.

    Raises:
        LayerscopeError: It cannot be read.
    """
    row = int(stack.inodes[row])
    place = stack.place(row)
    if place is None:
        raise BadInputError(reader.image.reference, None, "a folder has no content")
    changeset, inner = place
    return reader.content(int(stack.layers[row]), changeset, inner)


def file_digest(stack: Stack, reader: ImageReader, row: int) -> bytes | None:
    """SHA-256 of a regular file's version, or None if its content cannot be read."""
    place = stack.place(int(stack.inodes[row]))
    if place is None:
        return None
    changeset, inner = place
    if changeset.digests is not None:
        known: bytes = changeset.digests[inner].tobytes()
        if known.strip(b"\0"):
            return known
    if inner in changeset.sparse and changeset.sizes[inner] > _MOST_SPARSE:
        return None
    digest = hashlib.sha256()
    try:
        for piece in content_of(stack, reader, row):
            digest.update(piece)
    except LayerscopeError:
        return None
    return digest.digest()


def settle(stack: Stack, reader: ImageReader, rows: Iterable[int]) -> None:
    """Compares versions whose content nobody has compared yet with what they replaced.

    Args:
        stack: The layers; what is found is noted in it.
        reader: The image.
        rows: Versions that are `unread`.
    """
    digests: dict[int, bytes | None] = {}

    def digest_of(row: int) -> bytes | None:
        # Hard links have one content between them, which is read once.
        inode = int(stack.inodes[row])
        if inode not in digests:
            digests[inode] = file_digest(stack, reader, inode)
        return digests[inode]

    for row in rows:
        one = digest_of(row)
        other = digest_of(int(stack.below[row]))
        if one is not None and other is not None:
            stack.settle(row, one == other)
