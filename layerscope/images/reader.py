"""The interface of every place that images are read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.text import visible

if TYPE_CHECKING:
    # Imported for types only: it needs numpy, which would delay the start of a build.
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
        """The sizes of tars by diff_id, if they can be found without reading the tars."""
        return {}


class ImageReader(LayerTars, ABC):
    """An image that is open for reading.

    A place lists its layers, and reads files: one at a time (`content`), many (`contents`) or both;
    the default of each uses the other. It overrides other methods if it has a better way.
    """

    image: Image  # May become more exact while layers are read.
    way: str  # How the image is read, for users: `archive`, `export`.
    #: Why no faster way was possible, as the end of a sentence; empty if this is the fastest.
    why = ""
    price = 0  # Bytes that an engine on another host would send if layers must be exported.
    fetches = False  # Whether layers come from an engine's export or a registry, which is slow.

    @abstractmethod
    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers and yields each with its number as it becomes available, in any order.

        Layers in `known` are left out, and not read if skipping them saves time.

        Raises LayerscopeError if reading failed; what was yielded before remains valid.
        """

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]:
        """The content of a regular file, in pieces.

        `row` must not be a hard link.

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
        """The content of several files, in the order that suits the place.

        Reading a file of a compressed layer means decompressing everything before it, so reading
        many files one by one takes quadratic time. A place with such layers reads each layer once.

        Every file is yielded once. Pieces are valid until the next file is requested, and need not
        be consumed; some are empty, so that the caller can stop during a long skip. Only consuming
        pieces raises a LayerscopeError: past the damaged part of a layer, every file raises the
        same error.
        """
        for layer, (changeset, rows) in wanted.items():
            yield from self.one_by_one(layer, changeset, rows)

    def one_by_one(self, layer: int, changeset: Changeset, rows: Iterable[int]) -> Iterator[Passed]:
        """`contents` of one layer, each file read on its own."""

        def pieces(row: int) -> Iterator[Piece]:
            # Within a generator, a file that cannot be opened fails when its pieces are consumed.
            yield from self.content(layer, changeset, row)

        for row in rows:
            yield layer, row, pieces(row)

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        """Functions that read the tars of layers, uncompressed and byte for byte.

        `wanted` holds diff_ids. Layers come in the order that suits the place, equal ones perhaps
        once, each with its diff_id. If names come last, the diff_id is empty and other tars
        may be included: their digests identify them. Read each to its end, or not at all.
        Afterwards `image.document` is known. Raises LayerscopeError if a layer cannot be read or is
        not stored as its tar.
        """
        raise BadInputError(
            visible(self.image.source), None, "its layers cannot be copied", "Open its image."
        )

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """The content of a regular file for random access, or None if it is only a stream.

        Thread-safe. Raises LayerscopeError if the content cannot be read.
        """
        return None

    @property
    def stale(self) -> bool:
        """Whether the image is known to have changed since it was read; takes a while."""
        return False

    def close(self) -> None:
        """Closes files and connections; may be called more than once."""


def unreadable(layer: int, rows: Iterable[int], error: LayerscopeError) -> Iterator[Passed]:
    """`ImageReader.contents` for a layer that cannot be read."""

    def fail() -> Iterator[Piece]:
        raise error
        yield b""

    for row in rows:
        yield layer, row, fail()


def shared_layers(first: ImageReader, second: ImageReader) -> dict[int, int]:
    """Layers of the second image that equal one of the first, by number.

    An unverified archive's claim of equality does not count: its files are compared.
    """
    keys = {first.cache_key(layer.index): layer.index for layer in first.image.layers}
    keys.pop(None, None)
    found = ((layer.index, second.cache_key(layer.index)) for layer in second.image.layers)
    return {layer: keys[key] for layer, key in found if key in keys}
