"""Images whose layers are files of a `BlobStore`."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.errors import SAVE_AGAIN, BadInputError
from layerscope.images.archives.blob_store import BlobStore
from layerscope.images.files.located import Located, locate
from layerscope.images.layer_stream import (
    UNKNOWN,
    Advance,
    Digests,
    Passed,
    Read,
    layer_contents,
    read_layer,
    tar_reader,
)
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known, Wanted, unreadable
from layerscope.oci.byte_source import whole_reader
from layerscope.text import not_expected, visible

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset


@dataclass(frozen=True, slots=True)
class StoredLayer:
    file: str  # Its file.
    name: str  # Its name in errors.
    size: int  # Bytes.
    promised: Digests = UNKNOWN


class StoredLayersReader(ImageReader):
    """An image whose layers are files of a store."""

    _store: BlobStore
    _layers: Sequence[StoredLayer]

    def cache_key(self, layer: int) -> str | None:
        """The location of the layer's bytes, as a layout's digests are not verified."""
        if self.image.layers[layer].missing:
            return None
        with self._store.opened(self._layers[layer].file) as (_, _, key):
            return key

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers, base first; see `ImageReader.changesets`."""
        progress.what = "Reading layers"
        progress.total = sum(layer.size for layer in self._layers)
        behind = 0

        def advance(at: int) -> None:
            progress.advance(at + behind)

        for index, layer in enumerate(self._layers):
            if index not in known:
                yield index, self._changeset(index, layer, advance)
            behind += layer.size
            progress.advance(behind)

    def _changeset(self, index: int, layer: StoredLayer, advance: Advance) -> Changeset:
        if self.image.layers[index].missing:
            from layerscope.filesystem.changeset import Changeset

            return Changeset.empty()
        with self._store.opened(layer.file) as (source, size, _):
            if size != layer.size:
                problem = f"layer {visible(layer.name)} is damaged: "
                differs = not_expected("size", f"{layer.size:,}", f"{size:,} bytes")
                raise BadInputError(self._store.file, None, problem + differs, SAVE_AGAIN)
            return read_layer(
                source,
                0,
                size,
                file=self._store.file,
                name=layer.name,
                promised=layer.promised,
                advance=advance,
            )

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        for number, (changeset, rows) in wanted.items():
            layer = self._layers[number]
            try:
                with self._store.opened(layer.file) as (source, _, _):
                    yield from layer_contents(
                        number, source, changeset, rows, file=self._store.file, name=layer.name
                    )
            except BadInputError as error:
                # Its file is gone; the pieces raise all other errors.
                yield from unreadable(number, rows, error)

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        for stored, layer in zip(self._layers, self.image.layers, strict=True):
            if layer.diff_id in wanted and not layer.missing:
                with self._store.opened(stored.file) as (source, size, _):
                    read = whole_reader(source, size)
                    yield layer.diff_id, tar_reader(read, self._store.file, stored.name)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        with self._store.opened(self._layers[layer].file) as (source, _, _):
            return locate(source, changeset, row, self._store.file)

    def close(self) -> None:
        self._store.close()
