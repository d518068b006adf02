"""A layer's tar stream, compressed or not: its changeset and its files' content.

Errors name the file that holds the layer and the offset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.errors import SAVE_AGAIN, BadInputError, LayerscopeError
from layerscope.images.pieces import Hole, Piece
from layerscope.oci.byte_source import ByteSource, Stream, TruncatedError, reader_of
from layerscope.oci.compression import CompressionError, compression_of, decompressed
from layerscope.oci.tar_header import TarError
from layerscope.text import not_expected, visible

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset

#: A layer's number, a row in it, and that file's content in pieces.
Passed = tuple[int, int, Iterator[Piece]]

Advance = Callable[[int], None]
Read = Callable[[int], bytes]

#: The size of the pieces of a file.
_PIECE = 1 << 20

#: Layers up to this size are verified too: finding their headers reads most bytes anyway.
_SMALL = 1 << 20

#: The most bytes of a stream that are skipped before the caller can stop.
_STRIDE = 8 << 20


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of a layer; empty where they are not known."""

    diff_id: str = ""  # Of its tar.
    blob: str = ""  # Of its bytes as stored.

    def check(self, found: Digests, file: str, name: str) -> None:
        """Compares the expected digests with those found; raises BadInputError."""
        for what, expected, got in (
            ("diff_id", self.diff_id, found.diff_id),
            ("digest", self.blob, found.blob),
        ):
            if got and expected.startswith("sha256:") and expected.lower() != got:
                differs = not_expected(what, expected, got)
                problem = f"layer {visible(name)} is damaged: {differs}"
                raise BadInputError(file, None, problem, SAVE_AGAIN)


UNKNOWN = Digests()
#: The diff_id of a layer of 0 bytes.
NOTHING = "sha256:" + hashlib.sha256().hexdigest()


def read_layer(
    container: ByteSource,
    start: int,
    size: int,
    *,
    file: str,
    name: str,
    promised: Digests = UNKNOWN,
    advance: Advance | None = None,
) -> Changeset:
    """Reads a layer that is a range of bytes in an archive.

    A compressed or small layer is read completely and compared with `promised`; for others, only
    headers are read. `advance` receives the number of archive bytes read so far.

    Raises BadInputError if the layer is damaged.
    """
    # Imported here because it needs numpy, which copying layers does not.
    from layerscope.filesystem.tar_changeset import read_changeset

    inner = container.part(start, size)
    with _described(file, name, start):
        if size and compression_of(inner.window(0)[:6]) is None:
            changeset = read_changeset(inner, _shifted(advance, start))
            if size <= _SMALL:
                digest = f"sha256:{inner.sha256(0, size).hex()}"
                promised.check(Digests(digest, digest), file, name)
            return changeset
    changeset, found = read_whole(container, start, size, file=file, name=name, advance=advance)
    promised.check(found, file, name)
    return changeset


def read_whole(
    container: ByteSource,
    start: int,
    size: int,
    *,
    file: str,
    name: str,
    advance: Advance | None = None,
) -> tuple[Changeset, Digests]:
    """Reads all bytes of a layer, and computes its digests and those of its files.

    Raises BadInputError if the layer is damaged.
    """
    from layerscope.filesystem.changeset import Changeset
    from layerscope.filesystem.tar_changeset import read_changeset

    if not size:
        return Changeset.empty(), Digests(NOTHING, NOTHING)
    inner = container.part(start, size)
    kind = compression_of(inner.window(0)[:6])
    stored, tar = hashlib.sha256(), hashlib.sha256()
    read = reader_of(inner)

    def hashing(size: int) -> bytes:
        piece = read(size)
        stored.update(piece)
        return piece

    with _described(file, name, start if kind is None else None):
        source = open_stream(
            kind,
            hashing,
            digest=True,
            advance=_shifted(advance, start),
            update=tar.update if kind else None,
        )
        changeset = read_changeset(source)
        # The tar ends before the stream, whose checksum comes last.
        source.drain()
    blob = f"sha256:{stored.hexdigest()}"
    return changeset, Digests(f"sha256:{tar.hexdigest()}" if kind else blob, blob)


@contextmanager
def _described(file: str, name: str, start: int | None) -> Iterator[None]:
    """Turns a layer's error into one that names the layer; see `damaged`."""
    try:
        yield
    except (TarError, TruncatedError, CompressionError) as error:
        raise damaged(error, file, name, start, SAVE_AGAIN) from None


def open_stream(
    kind: str | None,
    read: Read,
    *,
    digest: bool,
    advance: Advance | None = None,
    update: Callable[[bytes], object] | None = None,
) -> Stream:
    """The uncompressed stream of a layer.

    `kind` is `gzip`, `zstd`, `xz` or `bzip2`, or None if it is not compressed. `advance` receives
    the number of stored bytes read so far after each piece; it may raise to stop, even within a
    file and after the last one. `update` receives each piece.
    """
    taken = 0

    def counting(size: int) -> bytes:
        nonlocal taken
        try:
            piece = read(size)
        except TruncatedError:
            if kind is None:
                raise
            # Its offset would count compressed bytes; the layer's other offsets do not.
            raise CompressionError(f"the {kind} stream ends too early") from None
        taken += len(piece)
        return piece

    plain = counting if kind is None else decompressed(kind, counting)

    def advancing(size: int) -> bytes:
        piece = plain(size)
        if update is not None:
            update(piece)
        if advance is not None:
            advance(taken)
        return piece

    return Stream(advancing, digest=digest)


def tar_digest(layer: ByteSource, file: str, name: str) -> str:
    """The digest of a layer's tar, `sha256:…`; raises BadInputError if it is damaged."""
    digest = hashlib.sha256()
    with _described(file, name, None):
        read = reader_of(_uncompressed(layer))
        while piece := read(_PIECE):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def plain_reader(read: Read) -> Read:
    """A function that reads the decompressed bytes; the first bytes reveal the compression."""
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


def tar_reader(read: Read, file: str, name: str) -> Read:
    """A function that reads the tar of a layer that may be compressed.

    It raises BadInputError if the layer is damaged.
    """
    plain: Read | None = None

    def described(size: int) -> bytes:
        nonlocal plain
        with _described(file, name, None):
            plain = plain or plain_reader(read)
            return plain(size)

    return described


def _shifted(advance: Advance | None, start: int) -> Advance | None:
    if advance is None:
        return None
    return lambda done: advance(start + done)


def layer_contents(
    number: int,
    layer: ByteSource,
    changeset: Changeset,
    rows: Iterable[int],
    *,
    file: str,
    name: str,
) -> Iterator[Passed]:
    """The content of several files of layer `number` in one pass; see `ImageReader.contents`."""

    def describe(error: TruncatedError | CompressionError) -> BadInputError:
        return damaged(error, file, name)

    yield from files_of_stream(number, lambda: _uncompressed(layer), changeset, rows, describe)


def files_of_stream(
    number: int,
    open_stream: Callable[[], ByteSource],
    changeset: Changeset,
    rows: Iterable[int],
    describe: Callable[[TruncatedError | CompressionError], LayerscopeError],
) -> Iterator[Passed]:
    """The content of several files of layer `number`; see `ImageReader.contents`.

    `open_stream` opens its uncompressed bytes, once; `describe` creates the error for users.
    """
    source: ByteSource | None = None
    failure: LayerscopeError | None = None

    def pieces(row: int) -> Iterator[Piece]:
        nonlocal source, failure
        if not changeset.sizes[row]:
            return
        if failure is not None:
            raise failure
        try:
            if source is None:
                source = open_stream()
            yield from _skipping(source, int(changeset.data_offsets[row]))
            yield from file_pieces(source, changeset, row)
        except (TruncatedError, CompressionError) as error:
            failure = describe(error)
            raise failure from None
        except LayerscopeError as error:
            failure = error
            raise

    for row in sorted(rows, key=lambda row: int(changeset.data_offsets[row])):
        yield number, row, pieces(row)


def _skipping(source: ByteSource, offset: int) -> Iterator[bytes]:
    """Empty pieces while a stream advances to an offset; none if the source can seek."""
    if isinstance(source, Stream):
        while source.position + _STRIDE < offset:
            source.window(source.position + _STRIDE)
            yield b""


def _uncompressed(layer: ByteSource) -> ByteSource:
    kind = compression_of(layer.window(0)[:6])
    return layer if kind is None else open_stream(kind, reader_of(layer), digest=False)


def damaged(
    error: TarError | TruncatedError | CompressionError,
    file: str,
    name: str,
    start: int | None = None,
    hint: str = "",
) -> BadInputError:
    """The error for a layer that begins at `start` in a file; `start` is None if it is compressed.

    Offsets in a compressed layer count uncompressed bytes. `hint` is for a truncated layer.
    """
    if isinstance(error, CompressionError):
        return BadInputError(file, None, f"layer {visible(name)}: {error}")
    problem = "the layer is truncated"
    if isinstance(error, TarError):
        problem, hint = error.problem, error.hint
    if start is None:
        whole = f"{file}, layer {visible(name)} uncompressed"
        return BadInputError(whole, error.offset, problem, hint)
    return BadInputError(file, start + error.offset, f"{problem} (layer {visible(name)})", hint)


def file_pieces(source: ByteSource, changeset: Changeset, row: int) -> Iterator[Piece]:
    """The content of a regular file in an uncompressed layer.

    Raises TruncatedError if the layer ends before the file does.
    """
    offset, size = int(changeset.data_offsets[row]), int(changeset.sizes[row])
    extents = changeset.sparse.get(row)
    if extents is None:
        yield from range_pieces(source, offset, size)
        return
    reached = 0
    for start, length in extents:
        yield Hole(start - reached)
        yield from range_pieces(source, offset, length)
        offset += length
        reached = start + length
    yield Hole(size - reached)


def range_pieces(source: ByteSource, offset: int, size: int) -> Iterator[bytes]:
    while size > 0:
        piece = source.read(offset, min(size, _PIECE))
        yield piece
        offset += len(piece)
        size -= len(piece)
