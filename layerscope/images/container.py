"""`container:NAME`: a container's image with what the container has on top of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.image import Image, Layer
from layerscope.images.located import Located, LocatingReader
from layerscope.images.passing import Passed, Wanted, contents_of, one_by_one
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known

MADE_AT_CREATION = "made by Docker when the container was created"
MADE_AT_BUILD = "made by Docker when a step of the build ran"


@dataclass(frozen=True, slots=True)
class OwnLayer:
    """A layer that a container has, and its image has not.

    Attributes:
        below: How many of the image's layers are below it.
        what: What it is, in place of an instruction.
    """

    below: int
    what: str


def own_layers(height: int, name: str, *, created: bool) -> tuple[OwnLayer, ...]:
    """What a container has on top of its image.

    Args:
        height: How many layers the image has.
        name: The container's name.
        created: Whether the engine has put a layer of its own between, as Docker does: empty files
            and folders to mount onto, in place of what the image has there.
    """
    layers = [OwnLayer(height, MADE_AT_CREATION)] if created else []
    return (*layers, OwnLayer(height, f"read-write layer of {name}"))


class ContainerLayers(Protocol):
    """Where a container's own layers can be read. They are numbered from below, from 0."""

    @property
    def layers(self) -> Sequence[OwnLayer]:
        """What they are; the read-write layer is the last one."""

    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        """Reads them as they are now."""

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file, as they are now."""

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """The same where it lies, or None where it can be had as a stream only."""

    def close(self) -> None:
        """Lets go of files; may be called twice."""


class ContainerReader:
    """A container.

    Attributes:
        way: How its own layers are read; the image's may be read another way.
        why: Why there is no faster way, as the end of a sentence; empty if there is none faster.
    """

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
        """Puts the container together.

        Args:
            base: Its image; closed with the reader.
            own: The layers that it has besides.
            fallback: Another way to the same, and what it is called, should the first one fail.
            name: Its name.
            source: Where it comes from.
            way: How its own layers are read.
            why: Why there is no faster way.
        """
        self._base = base
        self._own = own
        self._fallback = fallback
        self._name = name
        self._source = source
        self.way = way
        self.why = why
        height = len(base.image.layers)
        places = [(layer.below, number) for number, layer in enumerate(own.layers)]
        #: For each layer of the container, its number in the image or None, and among its own.
        self._order: list[tuple[int | None, int]] = []
        for index in range(height + 1):
            self._order += [(None, number) for below, number in places if below == index]
            if index < height:
                self._order.append((index, -1))
        #: And for each of the image's, its number in the container.
        self._number = {
            index: number for number, (index, _) in enumerate(self._order) if index is not None
        }

    @property
    def image(self) -> Image:
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
                # A history may name more layers than there are.
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
        """That of the image; the container's own layers are never kept."""
        index, _ = self._order[layer]
        return None if index is None else self._base.cache_key(index)

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers; see `ImageReader.changesets`."""
        below = {index for index, number in self._number.items() if number in known}
        for index, changeset in self._base.changesets(progress, below):
            yield self._number[index], changeset
        progress.what = "Reading the container"

        def advance(_: int) -> None:
            progress.advance(progress.done)

        advance(0)
        found = self._changes(advance)
        for number, (of_image, own) in enumerate(self._order):
            if of_image is None:
                yield number, found[own]

    def _changes(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        try:
            return self._own.changesets(advance)
        except BadInputError as error:
            # Such as content that overlayfs keeps elsewhere: that shows in the walk only.
            if self._fallback is None:
                raise
            self._own.close()
            self._own, self.way = self._fallback
            self.why = error.message.rstrip(".")
            self._fallback = None
            return self._own.changesets(advance)

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file; see `ImageReader.content`."""
        index, own = self._order[layer]
        if index is not None:
            return self._base.content(index, changeset, row)
        return self._own.content(own, changeset, row)

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files; see `PassingReader.contents`."""
        below = {}
        for layer, files in wanted.items():
            index, own = self._order[layer]
            if index is not None:
                below[index] = files
                continue
            for _, row, pieces in one_by_one(own, *files, self._own.content):
                yield layer, row, pieces
        for index, row, pieces in contents_of(self._base, below):
            yield self._number[index], row, pieces

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """Where the content of a file lies; see `LocatingReader.located`."""
        index, own = self._order[layer]
        if index is not None:
            base = self._base
            return base.located(index, changeset, row) if isinstance(base, LocatingReader) else None
        return self._own.located(own, changeset, row)

    def close(self) -> None:
        """Lets go of the image and the engine."""
        self._own.close()
        self._base.close()
