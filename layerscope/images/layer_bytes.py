"""A layer's tar stream, whatever it is wrapped in, and errors in it told by file and offset."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.errors import SAVE_AGAIN, BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.byte_source import ByteSource, Stream, TruncatedError, reader_of
from layerscope.oci.compression import CompressionError, compression_of, decompressed
from layerscope.oci.tar_header import TarError
from layerscope.text import visible

Advance = Callable[[int], None]


def read_layer(
    container: ByteSource,
    start: int,
    size: int,
    *,
    file: str,
    name: str,
    digest: bool = False,
    advance: Advance | None = None,
) -> Changeset:
    """Reads a layer that lies as a range of bytes in an archive.

    Args:
        container: The archive.
        start: Where the layer begins in it.
        size: How long it is there.
        file: What the archive is called, for errors.
        name: What the layer is called in it, for errors.
        digest: Whether to take digests of the content of all files in passing.
        advance: Told how many bytes of the archive lie behind.

    Raises:
        BadInputError: The layer is damaged.
    """
    inner = container.part(start, size, digest=digest)
    kind = None
    shift: int | None = start
    try:
        kind = compression_of(inner.window(0)[:6]) if size else None
        if kind is None:
            return read_changeset(inner, _shifted(advance, start)) if size else Changeset.empty()
        shift = None
        source = open_compressed(kind, inner, digest=True, advance=_shifted(advance, start))
        changeset = read_changeset(source)
        # The archive ends before the stream does, whose checksum comes last.
        source.drain()
        return changeset
    except TarError as error:
        raise bad_layer(file, name, shift, error.offset, error.problem, error.hint) from None
    except TruncatedError as error:
        problem = "the layer is truncated"
        raise bad_layer(file, name, shift, error.offset, problem, SAVE_AGAIN) from None
    except CompressionError as error:
        raise BadInputError(file, start, f"layer {visible(name)}: {error}") from None


def open_compressed(
    kind: str, inner: ByteSource, *, digest: bool, advance: Advance | None = None
) -> Stream:
    """The decompressed stream of a range.

    Args:
        kind: How it is compressed.
        inner: The range.
        digest: Whether to take digests of the content of files in passing.
        advance: Told after each piece how many of the compressed bytes lie behind; may raise to
            stop, in the middle of a file and behind the last one too.
    """
    read = reader_of(inner)
    taken = 0

    def counting(size: int) -> bytes:
        nonlocal taken
        try:
            piece = read(size)
        except TruncatedError:
            # Its offset would count in the compressed bytes, unlike all others of the layer.
            raise CompressionError(f"the {kind} stream ends too early") from None
        taken += len(piece)
        return piece

    plain = decompressed(kind, counting)

    def telling(size: int) -> bytes:
        piece = plain(size)
        if advance is not None:
            advance(taken)
        return piece

    return Stream(telling, digest=digest)


def bad_layer(
    file: str, name: str, start: int | None, offset: int, problem: str, hint: str = ""
) -> BadInputError:
    """The error for a layer; offsets in a compressed layer count in its uncompressed form."""
    if start is None:
        return BadInputError(f"{file}, layer {visible(name)} uncompressed", offset, problem, hint)
    return BadInputError(file, start + offset, f"{problem} (layer {visible(name)})", hint)


def _shifted(advance: Advance | None, start: int) -> Advance | None:
    if advance is None:
        return None
    return lambda done: advance(start + done)
