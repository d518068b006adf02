"""Images in compressed archives."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.archives.blob_store import BlobMissingError, BlobStore
from layerscope.images.archives.oci_layout import OciLayoutReader
from layerscope.images.archives.save_stream import (
    Reopen,
    SaveStream,
    contents_in_stream,
    tars_in_stream,
)
from layerscope.images.archives.stored_layers import StoredLayer
from layerscope.images.files.located import Located
from layerscope.images.layer_stream import Passed, Read
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known, Wanted
from layerscope.oci.byte_source import Buffer, ByteSource
from layerscope.text import visible


class CompressedArchive:
    """A compressed archive, read from front to back, since its format may only show at the end."""

    def __init__(self, reopen: Reopen, progress: Progress, *, kind: str, name: str) -> None:
        """Reads all of it.

        `kind` is its compression; `name` is its file, safe to show.
        """
        self.kind = kind
        self.name = name
        self.file = name
        self.uncompressed = f"{name} uncompressed"  # For offsets.
        self.reopen = reopen
        with reopen() as read:
            self.stream = SaveStream(read, self.uncompressed)
            for _ in self.stream.entries(progress):
                pass

    def names(self) -> Iterator[str]:
        return self.stream.names()

    # As a `BlobStore`, without the bytes of layers; the key is the name.

    def holds(self, name: str) -> bool:
        return self.stream.read(name) is not None or self.stream.has_layer(name)

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        data = self.stream.read(name)
        if data is None and not self.stream.has_layer(name):
            raise BlobMissingError(self.name, None, f"it has no {visible(name)}")
        yield Buffer(data or b""), len(data or b""), name

    def close(self) -> None: ...


class _StreamedReader(ImageReader):
    """An image whose layers have been read from a stream."""

    _archive: CompressedArchive
    _read: Sequence[tuple[str, Changeset]]  # Each layer's entry name and changeset.

    def cache_key(self, layer: int) -> str | None:
        return None

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        for index, (_, changeset) in enumerate(self._read):
            if index not in known:
                yield index, changeset

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        names = {layer: self._read[layer][0] for layer in wanted}
        yield from contents_in_stream(
            self._archive.reopen, self._archive.uncompressed, names, wanted
        )

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        names = {
            name: layer.diff_id
            for (name, _), layer in zip(self._read, self.image.layers, strict=True)
            if layer.diff_id in wanted
        }
        yield from tars_in_stream(self._archive.reopen, self._archive.uncompressed, names.get)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        return None


class CompressedArchiveReader(_StreamedReader):
    """An image in a compressed `docker save` archive."""

    def __init__(self, archive: CompressedArchive, wanted: str | None, source: str) -> None:
        self.way = f"archive, {archive.kind}"
        self._archive = archive
        self.image, self._read = archive.stream.finish(wanted, source=source)


class CompressedLayoutReader(_StreamedReader, OciLayoutReader):
    """An image in a compressed archive of an OCI layout, or of a folder by skopeo."""

    def __init__(
        self,
        archive: CompressedArchive,
        store: BlobStore,
        wanted: str | None,
        platform: str | None,
        source: str,
    ) -> None:
        """`store` has the archive's files under their names in a layout."""
        super().__init__(store, wanted, platform, source)
        self.way = f"OCI layout, {archive.kind}"
        self._archive = archive
        self._read = [
            ("", Changeset.empty()) if self.image.layers[index].missing else self._layer(layer)
            for index, layer in enumerate(self._layers)
        ]

    def _layer(self, layer: StoredLayer) -> tuple[str, Changeset]:
        stream = self._archive.stream
        with self._store.opened(layer.file) as (_, _, name):
            found = stream.find_layer(name)
        if found is None:
            raise BadInputError(self.name, None, f"{visible(layer.name)} is not a layer")
        stream.check(found[0], layer.promised)
        return found
