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

    def digest(self, layer: int, changeset: Changeset, row: int) -> bytes | None:
        """SHA-256 of a regular file's content, or None if it cannot be read from here."""

    def close(self) -> None:
        """Lets go of files and connections; may be called twice."""
