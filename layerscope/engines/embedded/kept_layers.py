"""Opens a container of the embedded store: its image, and its changes so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from layerscope.config import STORE
from layerscope.engines.embedded.containers import Container
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.filesystem.changeset import Changeset
from layerscope.images.containers.reader import (
    ContainerLayers,
    ContainerReader,
    OwnLayer,
    own_layers,
)
from layerscope.images.layer_stream import file_pieces
from layerscope.images.pieces import Piece
from layerscope.images.reader import ImageReader
from layerscope.oci.byte_source import FileRange
from layerscope.sandbox.kept import Changed


class KeptLayers(ContainerLayers):
    """The read-write layer of a container, at the time of reading."""

    def __init__(self, container: Container, layers: Sequence[OwnLayer]) -> None:
        self.layers = layers
        self._container = container
        self._held = ExitStack()
        self._changed: Changed | None = None

    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        self._version = self._container.run.version
        self._changed = self._held.enter_context(self._container.run.changes())
        return [self._changed.changeset()]

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]:
        assert self._changed is not None  # noqa: S101 - its changeset is from there
        file = FileRange(self._changed.file.fileno(), 0, self._changed.size)
        return file_pieces(file, changeset, row)

    @property
    def stale(self) -> bool:
        return self._changed is not None and self._container.run.version != self._version

    def close(self) -> None:
        self._held.close()


def open_kept(engine: EmbeddedEngine, name: str, source: str) -> ImageReader:
    """Raises NotFoundError if there is no such container, and LayerscopeError."""
    container = engine.kept_containers.find(name)
    base = engine.open(container.about.image, "")
    shown = container.about.name
    own = KeptLayers(container, own_layers(len(base.image.layers), shown, created=False))
    return ContainerReader(base, own, None, name=shown, source=source, way=STORE, why="")
