"""The content of many files at once, for images whose layers come as streams.

One file of a compressed layer costs all that lies before it, so many files asked for one by one
cost the square of that. Readers that can do better offer to hand them on as the layers pass by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.reader import ImageReader
from layerscope.oci.byte_source import ByteSource, Stream

#: By number of a layer, its changeset and rows of regular files in it, each but once.
Wanted = Mapping[int, tuple[Changeset, Sequence[int]]]

#: Number of a layer, row in it, and its content in pieces.
Passed = tuple[int, int, Iterator[bytes]]

#: How much of a stream is passed over before it can be stopped.
_STRIDE = 8 << 20


@runtime_checkable
class PassingReader(Protocol):
    """A reader that reads the files of a layer in one pass."""

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files, in the order in which they pass by.

        All that are wanted are yielded, each once. Pieces are good until the next file is asked
        for, and need not be taken; some are empty, so that one can stop where much is passed over.
        What cannot be read raises a LayerscopeError where its pieces are taken, and nothing else
        does: behind the place where a layer is damaged, each file raises the one error.

        Args:
            wanted: Which files; no hard links.
        """


def contents_of(reader: ImageReader, wanted: Wanted) -> Iterator[Passed]:
    """See `PassingReader.contents`; of other readers, files are read one by one."""
    if isinstance(reader, PassingReader):
        yield from reader.contents(wanted)
        return
    for layer, (changeset, rows) in wanted.items():
        yield from one_by_one(layer, changeset, rows, reader.content)


def one_by_one(
    layer: int,
    changeset: Changeset,
    rows: Iterable[int],
    content: Callable[[int, Changeset, int], Iterator[bytes]],
) -> Iterator[Passed]:
    """The same where each file can be read without those before it.

    Args:
        layer: Number of the layer.
        changeset: Its changeset.
        rows: Rows in it.
        content: As `ImageReader.content`.
    """

    def pieces(row: int) -> Iterator[bytes]:
        # What cannot even be opened is told with the pieces.
        yield from content(layer, changeset, row)

    for row in rows:
        yield layer, row, pieces(row)


def unreadable(layer: int, rows: Iterable[int], error: LayerscopeError) -> Iterator[Passed]:
    """Files of a layer that cannot be read at all."""

    def fail() -> Iterator[bytes]:
        raise error
        yield b""

    for row in rows:
        yield layer, row, fail()


def in_order(changeset: Changeset, rows: Iterable[int]) -> list[int]:
    """Rows in the order in which their content lies in the layer."""
    return sorted(rows, key=lambda row: int(changeset.data_offsets[row]))


def passing_over(source: ByteSource, offset: int) -> Iterator[bytes]:
    """Empty pieces while a stream goes on to an offset; none where a source can seek.

    Raises:
        TruncatedError: The stream ends before it.
    """
    if isinstance(source, Stream):
        while source.position + _STRIDE < offset:
            source.window(source.position + _STRIDE)
            yield b""
