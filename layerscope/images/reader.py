"""What every place that an image can be read from offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.text import visible

if TYPE_CHECKING:
    # A build has begun by the time that numpy is imported.
    from layerscope.filesystem.changeset import Changeset
    from layerscope.images.files.located import Located
    from layerscope.images.layer_stream import Passed, Read
    from layerscope.images.pieces import Piece

#: Numbers of layers.
Known = Container[int]

#: For each layer, by number, its changeset and rows of regular files in it, without repeats.
Wanted = Mapping[int, tuple["Changeset", Sequence[int]]]


class LayerTars(Protocol):
    """An image whose layers can be copied; see `ImageReader`."""

    image: Image

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]: ...

    def tar_sizes(self, progress: Progress, wanted: Container[str]) -> Mapping[str, int]:
        """The sizes of tars, by diff_id, where finding them is quicker than reading the tars."""
        return {}


class ImageReader(LayerTars, ABC):
    """An image that is open for reading.

    A place has to list its layers, and to read files: one (`content`), many (`contents`) or both,
    as each has a default that uses the other. What else it can do better, it overrides.
    """

    image: Image  # What is known of the image; it can become more exact while layers are read.
    way: str  # How the image is read, for people: `archive`, `export`.
    #: Why no faster way was possible, as the end of a sentence; empty if this is the fastest.
    why = ""
    price = 0  # Bytes that an engine on another host would send, if layers must be exported.
    fetches = False  # Whether its layers come from an engine's export or a registry, which is slow.

    @abstractmethod
    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers, and yields each with its number once it has been read, in any order.

        Layers in `known` are left out; they are not read where that saves anything.

        Raises LayerscopeError if reading failed; what was yielded before remains valid.
        """

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]:
        """The content of a regular file, in pieces.

        `row` is not that of a hard link.

        Raises LayerscopeError if the content cannot be read.
        """
        for _, _, pieces in self.contents({layer: (changeset, [row])}):
            yield from pieces

    def cache_key(self, layer: int) -> str | None:
        """The cache key of a layer's changeset, or None if it is not cached.

        Two layers may share a key only if they are known to be identical to the last byte: the
        diff_id that an unverified archive claims is not a key.
        """
        return None

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files, in the order that suits the place.

        One file of a compressed layer costs all that lies before it, so reading many files one by
        one would cost the square of that. A place with such layers reads each of them once.

        Every file is yielded, once. Pieces are valid until the next file is asked for, and need not
        be taken; some are empty, so that a caller can stop while much is skipped. Only taking
        pieces raises a LayerscopeError: beyond the damaged part of a layer, each file raises the
        same one.
        """
        for layer, (changeset, rows) in wanted.items():
            yield from self.one_by_one(layer, changeset, rows)

    def one_by_one(self, layer: int, changeset: Changeset, rows: Iterable[int]) -> Iterator[Passed]:
        """`contents` of one layer, each file read on its own."""

        def pieces(row: int) -> Iterator[Piece]:
            # So that a file that cannot even be opened fails when its pieces are taken.
            yield from self.content(layer, changeset, row)

        for row in rows:
            yield layer, row, pieces(row)

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        """Read functions over the tars of layers, uncompressed and byte for byte.

        `wanted` are diff_ids. Layers come in the order that suits the place, equal ones perhaps
        once, each with the diff_id that it should have. Where names come last, that is empty, and
        other tars are among them: digests show what they are. Each must be read to its end, or not
        at all. Then `image.document` is known, too. Raises LayerscopeError if a layer cannot be
        read, or is not kept as its tar.
        """
        raise BadInputError(
            visible(self.image.source), None, "its layers cannot be copied", "Open its image."
        )

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """The content of a regular file for random access, or None where it is only a stream.

        Must be safe to call while another thread reads. Raises LayerscopeError if the content
        cannot be read.
        """
        return None

    @property
    def stale(self) -> bool:
        """Whether what was read is known to have changed since; takes a while."""
        return False

    def close(self) -> None:
        """Closes files and connections; may be called twice."""


def unreadable(layer: int, rows: Iterable[int], error: LayerscopeError) -> Iterator[Passed]:
    """`ImageReader.contents` of a layer that cannot be read."""

    def fail() -> Iterator[Piece]:
        raise error
        yield b""

    for row in rows:
        yield layer, row, fail()


def shared_layers(first: ImageReader, second: ImageReader) -> dict[int, int]:
    """Layers of the second image that are known to equal one of the first, by number.

    What an unverified archive claims to be equal does not count: its files are compared.
    """
    keys = {first.cache_key(layer.index): layer.index for layer in first.image.layers}
    keys.pop(None, None)
    found = ((layer.index, second.cache_key(layer.index)) for layer in second.image.layers)
    return {layer: keys[key] for layer, key in found if key in keys}
