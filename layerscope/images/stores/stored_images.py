"""The common base of `docker-root:`, `containerd-root:` and `containers-storage:`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from layerscope.errors import AmbiguousError, NotFoundError
from layerscope.images.reader import ImageReader
from layerscope.images.summary import NONE, ImageSummary
from layerscope.text import short_id, visible


class StoredImages(ABC):
    """The images in an engine's data folder, read only, whether the engine runs or not.

    Methods raise BadInputError if it is damaged or cannot be read.
    """

    place: str  # The source prefix of its images: `docker-root:/var/lib/docker`.
    separator = ":"  # Separates the place from a name in a source.

    @abstractmethod
    def summaries(self) -> list[ImageSummary]:
        """The images, newest first, with a line for each name."""

    @abstractmethod
    def open_named(self, name: str, platform: str | None) -> ImageReader:
        """Opens an image by a name, an id or its prefix; the reader closes the folder.

        Raises LayerscopeError if there is no such image.
        """

    @property
    @abstractmethod
    def driver(self) -> str:
        """How layers are stored: `overlay2`, `containerd`, `overlay` or `vfs`."""

    @abstractmethod
    def size(self) -> int:
        """The size of all layers in bytes, as the engine counted them."""

    @abstractmethod
    def close(self) -> None: ...

    def open(self, wanted: str | None, platform: str | None) -> ImageReader:
        """Opens an image; None opens the only one. See `open_named`."""
        return self.open_named(self._only() if wanted is None else wanted, platform)

    def source(self, name: str) -> str:
        return f"{self.place}{self.separator}{name}"

    def _only(self) -> str:
        lines = self.summaries()
        number = len({line.id for line in lines})
        if number == 1:
            return lines[0].id
        names = [
            short_id(line.id) if line.tag == NONE else f"{line.repository}:{line.tag}"
            for line in lines
        ]
        if not names:
            raise NotFoundError(f"{visible(self.place)} holds no image.")
        example = visible(self.source("NAME"))
        error = AmbiguousError(
            f"{visible(self.place)} holds {number} images.",
            f"Name one: {example} with NAME one of {visible(', '.join(names))}.",
            names,
        )
        error.choices = tuple(self.source(name) for name in names)
        raise error

    def missing(self, wanted: str) -> NotFoundError:
        return NotFoundError(
            f"{visible(self.place)} holds no image {visible(wanted)}.",
            f"`layerscope images {visible(self.place)}` lists what it holds.",
        )
