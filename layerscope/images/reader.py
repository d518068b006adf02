"""What every place an image can be read from offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from layerscope.filesystem.changeset import Changeset
from layerscope.images.image import Image
from layerscope.images.progress import Progress


class ImageReader(Protocol):
    """An image that is open for reading."""

    @property
    def image(self) -> Image:
        """What is known of the image; it can get more exact while layers are read."""

    @property
    def way(self) -> str:
        """How the image is read, for people: `archive`, `export`."""

    def changesets(self, progress: Progress) -> Iterator[tuple[int, Changeset]]:
        """Reads all layers, and yields each with its number as soon as it is there, in any order.

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
