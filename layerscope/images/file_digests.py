"""Digests of files, known from the layer or read from the image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Protocol, TypeVar

from layerscope.errors import BadInputError, Cancelled, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.passing import Passed, Wanted, contents_of
from layerscope.images.reader import ImageReader

T = TypeVar("T")

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


class Step(Protocol):
    """Takes the next item of what an image gives; None at its end."""

    def __call__(self, items: Iterator[T], /) -> T | None:
        """See `Step`."""


def _next(items: Iterator[T]) -> T | None:
    return next(items, None)


def known_digest(stack: Stack, row: int) -> bytes | None:
    """SHA-256 of a regular file's version, if the layer tells it."""
    place = stack.place(int(stack.inodes[row]))
    if place is None or place[0].digests is None:
        return None
    known: bytes = place[0].digests[place[1]].tobytes()
    return known if known.strip(b"\0") else None


def file_digests(
    stack: Stack,
    reader: ImageReader,
    rows: Iterable[int],
    advance: Callable[[int], None] | None = None,
    step: Step = _next,
) -> Iterator[tuple[int, bytes | None]]:
    """SHA-256 of versions of regular files; of each layer as much as is needed is read once.

    Args:
        stack: The layers of the image.
        reader: The image.
        rows: The versions; hard links have the content of their inode, which is read once.
        advance: Told how many bytes of a file have been read; may raise to stop.
        step: Takes what the reader gives, for those who share a reader.

    Yields:
        Each inode of these versions, once, and the digest of its content, in the order in which
        they are known; None for what cannot be read.

    Raises:
        Cancelled: `advance` or `step` said so, or the image has been closed.
    """
    wanted: dict[int, tuple[Changeset, list[int]]] = {}
    for inode in dict.fromkeys(int(stack.inodes[row]) for row in rows):
        known, place = known_digest(stack, inode), stack.place(inode)
        if known is not None or place is None:
            yield inode, known
            continue
        changeset, inner = place
        if inner in changeset.sparse and changeset.sizes[inner] > _MOST_SPARSE:
            yield inode, None
            continue
        wanted.setdefault(int(stack.layers[inode]), (changeset, []))[1].append(inner)
    # What is left in the middle lets go of the image at once.
    with closing(_passed(reader, wanted)) as files:
        while (file := step(files)) is not None:
            layer, inner, pieces = file
            yield stack.bases[layer] + inner, _digest(pieces, advance, step)


def _passed(reader: ImageReader, wanted: Wanted) -> Generator[Passed]:
    yield from contents_of(reader, wanted)


def _digest(
    pieces: Iterator[bytes], advance: Callable[[int], None] | None, step: Step
) -> bytes | None:
    digest = hashlib.sha256()
    done = 0
    try:
        while (piece := step(pieces)) is not None:
            digest.update(piece)
            done += len(piece)
            if advance is not None:
                advance(done)
    except Cancelled:
        raise
    except LayerscopeError:
        return None
    return digest.digest()


def settle(stack: Stack, reader: ImageReader, rows: Iterable[int]) -> None:
    """Compares versions whose content nobody has compared yet with what they replaced.

    Args:
        stack: The layers; what is found is noted in it.
        reader: The image.
        rows: Versions that are `unread`.

    Raises:
        Cancelled: The image has been closed.
    """
    pairs = [(row, int(stack.below[row])) for row in rows]
    digests = dict(file_digests(stack, reader, [row for pair in pairs for row in pair]))
    for row, below in pairs:
        one, other = (digests[int(stack.inodes[version])] for version in (row, below))
        if one is not None and other is not None:
            stack.settle(row, one == other)
