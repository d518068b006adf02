"""The content of a file in pieces: bytes, and the holes between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from layerscope.writing import write_all

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset

_PIECE = 1 << 20
_ZEROS = bytes(_PIECE)


@dataclass(frozen=True, slots=True)
class Hole:
    """Zeros that are not stored: a sparse file can claim any number of them."""

    size: int


Piece = bytes | Hole

Advance = Callable[[int], None]


class Seekable(Protocol):
    """Bytes that can be read at random; see `contents.Content`."""

    @property
    def size(self) -> int: ...

    def extents(self, advance: Advance | None = None) -> Iterator[tuple[int, int]]: ...

    def read(self, offset: int, length: int, advance: Advance | None = None) -> bytes: ...


def filled(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The pieces, with zeros instead of holes."""
    for piece in pieces:
        if isinstance(piece, Hole):
            left = piece.size
            while left > 0:
                yield _ZEROS[: min(left, _PIECE)]
                left -= _PIECE
        else:
            yield piece


def pieces_of(content: Seekable, advance: Advance | None = None) -> Iterator[Piece]:
    """The pieces of content with random access; raises what reading it raises."""
    reached = 0
    for start, length in content.extents(advance):
        yield Hole(start - reached)
        reached = start + length
        for offset in range(start, reached, _PIECE):
            yield content.read(offset, min(_PIECE, reached - offset), advance)
    yield Hole(content.size - reached)


def write_pieces(fd: int, pieces: Iterable[Piece], advance: Advance | None = None) -> int:
    """Writes content and its holes to a new file, and returns the number of bytes stored.

    `advance` receives the number of bytes stored so far, and may raise to stop. Raises OSError.
    """
    size = stored = 0
    for piece in pieces:
        if isinstance(piece, Hole):
            size += piece.size
            os.ftruncate(fd, size)
            os.lseek(fd, size, os.SEEK_SET)
            continue
        write_all(fd, piece)
        size += len(piece)
        stored += len(piece)
        if advance is not None:
            advance(stored)
    return stored


def stored_size(changeset: Changeset, row: int) -> int:
    """The size of a regular file without the holes that its layer declares."""
    extents = changeset.sparse.get(row)
    if extents is None:
        return int(changeset.sizes[row])
    return sum(length for _, length in extents)


def extents_on_disk(fd: int) -> Iterator[tuple[int, int]]:
    """Offset and length of each piece of an open file that is not a hole."""
    status = os.fstat(fd)
    if status.st_blocks * 512 >= status.st_size:
        yield 0, status.st_size
        return
    end = 0
    while end < status.st_size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # Only a hole follows.
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end - start
