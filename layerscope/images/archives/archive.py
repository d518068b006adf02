"""`docker-archive:` in an uncompressed file, read only as far as needed."""

from __future__ import annotations

from collections.abc import Iterator

from layerscope.filesystem.changeset import Changeset
from layerscope.images.archives.archive_file import ArchiveFile, Member
from layerscope.images.archives.blob_store import FolderStore, read_document
from layerscope.images.archives.save_format import promised, saved_image
from layerscope.images.archives.stored_layers import StoredLayer, StoredLayersReader
from layerscope.images.layer_stream import tar_digest
from layerscope.images.progress import Progress
from layerscope.images.reader import Known


class SavedStore:
    """The files of an archive, packed or not, as `SavedFiles`: a layer is its size."""

    def __init__(self, store: ArchiveFile | FolderStore) -> None:
        self._store = store
        self.file = store.file
        self.names = store.names

    def read(self, name: str) -> bytes | None:
        return read_document(self._store, name) if self._store.holds(name) else None

    def find_layer(self, name: str) -> tuple[str, int] | None:
        if not name or not self._store.holds(name):
            return None
        if isinstance(self._store, ArchiveFile):
            name = self._store.target(name)
        with self._store.opened(name) as (_, size, _):
            return name, size

    def diff_id(self, layer: tuple[str, int]) -> str:
        name, _ = layer
        with self._store.opened(name) as (source, _, _):
            return tar_digest(source, self.file, name)

    def is_empty(self, layer: tuple[str, int]) -> bool:
        return not layer[1]


class UnpackedArchiveReader(StoredLayersReader):
    """An image in a folder with the files of a `docker save` archive."""

    way = "unpacked archive"

    def __init__(self, store: ArchiveFile | FolderStore, wanted: str | None, source: str) -> None:
        """Finds the image `wanted` if there are several; raises LayerscopeError on failure."""
        self._store = store
        self.image, layers = saved_image(SavedStore(store), wanted, source=source)
        self._layers = [
            StoredLayer(name, name, size, digests)
            for (name, size), digests in zip(layers, promised(self.image), strict=True)
        ]


class ArchiveReader(UnpackedArchiveReader):
    """An image in an archive, whose layers can be read by two processes."""

    way = "archive"

    def __init__(self, archive: ArchiveFile, wanted: str | None, source: str) -> None:
        super().__init__(archive, wanted, source)
        self._whole = archive.whole
        names = (layer.name for layer in self._layers)
        self._members = [member for name in names if (member := archive.member(name)) is not None]

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        progress.what = "Reading layers"
        progress.total = sum(member.size for member in self._members)
        done = sum(member.size for index, member in enumerate(self._members) if index in known)
        for layer in self.image.layers:
            if layer.missing and layer.index not in known:
                yield layer.index, Changeset.empty()
        sharing: dict[Member, list[int]] = {}  # Equal layers may be stored once.
        for index, member in enumerate(self._members):
            if index not in known and not self.image.layers[index].missing:
                sharing.setdefault(member, []).append(index)
        if not sharing:
            return
        # Imported here: a cached image does not need it, and importing it takes time.
        from layerscope.images.layer_stream import read_layer
        from layerscope.images.two_cores import WORTHWHILE, Ranges, read_layers

        places = {}
        for member, (index, *_) in sharing.items():
            stored = self._layers[index]
            places[index] = (stored.name, member.offset, member.size, stored.promised)
        ranges = Ranges(self._whole.fd, self._store.file, places)

        def read(index: int) -> Changeset:
            name, offset, size, digest = places[index]
            return read_layer(
                self._whole,
                offset,
                size,
                file=self._store.file,
                name=name,
                promised=digest,
                advance=lambda at: progress.advance(done + at - offset),
            )

        sizes = {index: size for index, (_, _, size, _) in places.items()}
        found = read_layers(sizes, read, at_least=WORTHWHILE, ranges=ranges)
        for index, changeset in found:
            equal = sharing[self._members[index]]
            done += sizes[index] * len(equal)
            progress.advance(done)
            for other in equal:
                yield other, changeset
