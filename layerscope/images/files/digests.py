"""Digests of files, known from the layer or computed from the image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Protocol, TypeVar

from layerscope.errors import BadInputError, failures_ignored
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.layer_stream import Passed
from layerscope.images.pieces import Piece, filled
from layerscope.images.reader import ImageReader, Wanted

T = TypeVar("T")

#: A sparse file can claim any size and take forever to read; larger ones are not compared.
_MOST_SPARSE = 16 << 30


def content_of(stack: Stack, reader: ImageReader, row: int) -> Iterator[Piece]:
    """The content of a regular file's version in pieces; for a hard link, its inode's.

    Raises LayerscopeError if it cannot be read.
    """
    row = int(stack.inodes[row])
    place = stack.place(row)
    if place is None:
        raise BadInputError(reader.image.reference, None, "a folder has no content")
    changeset, inner = place
    return reader.content(int(stack.layers[row]), changeset, inner)


class Step(Protocol):
    """Takes the next item that an image yields; None at the end."""

    def __call__(self, items: Iterator[T], /) -> T | None: ...


def _next(items: Iterator[T]) -> T | None:
    return next(items, None)


def known_digest(stack: Stack, row: int) -> bytes | None:
    """SHA-256 of a regular file's version, if it was computed when the layer was read."""
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
    """SHA-256 of versions of regular files. Each layer is read once, as far as needed.

    A hard link's inode is read once. `advance` receives the number of bytes read from a file, and
    may raise to stop. `step` takes items from the reader, for threads that share one.

    Yields each inode once, with the digest of its content, or None if it cannot be read. Raises
    Cancelled if `advance` or `step` raised it or the image has been closed.
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
    # If this generator is closed early, so is the layer being read.
    with closing(passed(reader, wanted)) as files:
        while (file := step(files)) is not None:
            layer, inner, pieces = file
            yield stack.bases[layer] + inner, _digest(pieces, advance, step)


def passed(reader: ImageReader, wanted: Wanted) -> Generator[Passed]:
    yield from reader.contents(wanted)


def _digest(
    pieces: Iterator[Piece], advance: Callable[[int], None] | None, step: Step
) -> bytes | None:
    digest = hashlib.sha256()
    done = 0
    with failures_ignored():
        while (piece := step(pieces)) is not None:
            for data in filled([piece]):
                digest.update(data)
                done += len(data)
                if advance is not None:
                    advance(done)
        return digest.digest()
    return None


def settle(stack: Stack, reader: ImageReader, rows: Iterable[int]) -> None:
    """Compares the content of `unread` versions with what they replaced; records the results.

    Raises Cancelled if the image has been closed.
    """
    pairs = [(row, int(stack.below[row])) for row in rows]
    digests = dict(file_digests(stack, reader, [row for pair in pairs for row in pair]))
    for row, below in pairs:
        one, other = (digests[int(stack.inodes[version])] for version in (row, below))
        if one is not None and other is not None:
            stack.settle(row, one == other)
