"""What every place an image can be read from offers."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Protocol

from layerscope.images.image import Image
from layerscope.images.progress import Progress

if TYPE_CHECKING:
    # A build has begun by the time that numpy is imported.
    from layerscope.filesystem.changeset import Changeset

#: Numbers of layers.
Known = Container[int]


class ImageReader(Protocol):
    """An image that is open for reading."""

    @property
    def image(self) -> Image:
        """What is known of the image; it can get more exact while layers are read."""

    @property
    def way(self) -> str:
        """How the image is read, for people: `archive`, `export`."""

    def cache_key(self, layer: int) -> str | None:
        """What the changeset of a layer is kept under in the cache; None if it is not kept.

        Two layers may share a key only if they are the same to the last byte, and known to be so:
        what an unverified archive claims as a diff_id is no key.
        """

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers, and yields each with its number as soon as it is there, in any order.

        Args:
            progress: Where to say how far it has come.
            known: Layers that are known already; they are not yielded, and not read where that
                saves anything.

        Raises:
            LayerscopeError: Reading failed; what was yielded before remains true.
        """

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a regular file, holes filled, in pieces.

        Args:
            layer: Number of a layer.
            changeset: Its changeset.
            row: Row of a regular file in it, no hard link.

        Raises:
            LayerscopeError: The content cannot be read.
        """

    def close(self) -> None:
        """Lets go of files and connections; may be called twice."""
