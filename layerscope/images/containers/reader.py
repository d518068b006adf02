"""`container:NAME`: a container's image, with the container's own layers on top."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.files.located import Located
from layerscope.images.image import Image, Layer
from layerscope.images.layer_stream import Passed
from layerscope.images.pieces import Piece
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known, Wanted

MADE_AT_CREATION = "made by Docker when the container was created"
MADE_AT_BUILD = "made by Docker when a step of the build ran"


@dataclass(frozen=True, slots=True)
class OwnLayer:
    """A container's layer that is not its image's."""

    below: int  # The number of the image's layers below it.
    what: str  # Its description, shown like an instruction.


def own_layers(height: int, name: str, *, created: bool) -> tuple[OwnLayer, ...]:
    """A container's layers on top of its image.

    `created` is true if the engine puts a layer of its own between, as Docker does: empty files
    and folders as mount points that replace the image's.
    """
    layers = [OwnLayer(height, MADE_AT_CREATION)] if created else []
    return (*layers, OwnLayer(height, f"read-write layer of {name}"))


class ContainerLayers(ABC):
    """A place to read a container's own layers from."""

    layers: Sequence[OwnLayer]  # From the lowest, number 0, to the read-write layer.

    @abstractmethod
    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]: ...

    @abstractmethod
    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]: ...

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        return None

    @property
    def stale(self) -> bool:
        return False

    def close(self) -> None:  # noqa: B027 - nothing to close is a good default
        """Closes files and connections."""


class ContainerReader(ImageReader):
    def __init__(
        self,
        base: ImageReader,
        own: ContainerLayers,
        fallback: tuple[ContainerLayers, str] | None,
        *,
        name: str,
        source: str,
        way: str,
        why: str,
    ) -> None:
        """Puts the container together; takes ownership of its image.

        `fallback` is another way to read its own layers if `own` fails, with that way's name.
        """
        self._base = base
        self.fetches = base.fetches
        self._own = own
        self._fallback = fallback
        self._name = name
        self._source = source
        self.way = way  # How its own layers are read; the image's may be read differently.
        self.why = why
        height = len(base.image.layers)
        places = [(layer.below, number) for number, layer in enumerate(own.layers)]
        #: For each layer of the container, its number in the image or None, and among its own.
        self._order: list[tuple[int | None, int]] = []
        for index in range(height + 1):
            self._order += [(None, number) for below, number in places if below == index]
            if index < height:
                self._order.append((index, -1))
        #: For each of the image's layers, its number in the container.
        self._number = {
            index: number for number, (index, _) in enumerate(self._order) if index is not None
        }
        self.image = self._as_image()

    def _as_image(self) -> Image:
        """The container as an image: its own layers have no diff_id and no history entry."""
        image = self._base.image
        layers = []
        for number, (index, own) in enumerate(self._order):
            if index is not None:
                layers.append(replace(image.layers[index], index=number))
            else:
                what = self._own.layers[own].what
                layers.append(Layer(index=number, diff_id="", digest=None, instruction=what))
        history = []
        for entry in image.history:
            if entry.layer is not None:
                # A history may list more layers than there are.
                beyond = entry.layer + len(self._own.layers)
                entry = replace(entry, layer=self._number.get(entry.layer, beyond))
            history.append(entry)
        return replace(
            image,
            reference=self._name,
            source=self._source,
            layers=tuple(layers),
            history=tuple(history),
            platforms=(),  # It runs on one.
        )

    def cache_key(self, layer: int) -> str | None:
        """The image's key; the container's own layers are never cached."""
        index, _ = self._order[layer]
        return None if index is None else self._base.cache_key(index)

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        below = {index for index, number in self._number.items() if number in known}
        for index, changeset in self._base.changesets(progress, below):
            self.image = self._as_image()
            yield self._number[index], changeset
        self.image = self._as_image()
        progress.what = "Reading the container"
        progress.check()
        found = self._changes(progress.check)
        for number, (of_image, own) in enumerate(self._order):
            if of_image is None:
                yield number, found[own]

    def _changes(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        try:
            return self._own.changesets(advance)
        except BadInputError as error:
            # For example, overlayfs may store content elsewhere, which only the walk discovers.
            if self._fallback is None:
                raise
            self._own.close()
            self._own, self.way = self._fallback
            self.why = error.message.rstrip(".")
            self._fallback = None
            return self._own.changesets(advance)

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]:
        index, own = self._order[layer]
        if index is not None:
            return self._base.content(index, changeset, row)
        return self._own.content(own, changeset, row)

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        below = {}
        for layer, files in wanted.items():
            index, _ = self._order[layer]
            if index is not None:
                below[index] = files
                continue
            yield from self.one_by_one(layer, *files)
        for index, row, pieces in self._base.contents(below):
            yield self._number[index], row, pieces

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        index, own = self._order[layer]
        if index is not None:
            return self._base.located(index, changeset, row)
        return self._own.located(own, changeset, row)

    @property
    def stale(self) -> bool:
        return self._own.stale

    def close(self) -> None:
        self._own.close()
        self._base.close()
