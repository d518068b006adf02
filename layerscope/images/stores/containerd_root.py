"""`containerd-root:DIR[:NAMESPACE/NAME]`: containerd's data folder, whether it runs or not.

Names are those in its database, with their namespaces: Kubernetes' images are in `k8s.io`, `ctr`'s
in `default`. Layers are read from their blobs. A node may be configured to discard blobs after
unpacking; their layers are then read from the snapshots, of overlayfs or native.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from layerscope.errors import AmbiguousError, closed_on_error
from layerscope.images.image import Image
from layerscope.images.reader import ImageReader
from layerscope.images.stores.containerd import (
    METADATA,
    NATIVE,
    OVERLAYFS,
    ContainerdStore,
    ContentReader,
    NamedImage,
    named_images,
)
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.stores.folder_layer import CopyLayer, FolderLayer, FolderReader
from layerscope.images.stores.overlay2 import chain_ids
from layerscope.images.stores.stored_images import StoredImages
from layerscope.images.summary import ImageSummary
from layerscope.oci.reference import familiar
from layerscope.text import visible


class ContainerdRoot(StoredImages):
    def __init__(self, path: Path) -> None:
        """Opens a data folder; raises BadInputError."""
        self.place = f"containerd-root:{path}"
        self._folder = DataFolder(path)
        self._store = ContainerdStore(self._folder)
        with closed_on_error(self.close):
            try:
                self._images = self._store.all_images()
            except DataFolderError as error:
                if not error.missing:
                    raise
                raise self._folder.bad(
                    "it is not a data folder of containerd",
                    hint=f"It would have {METADATA}; the default is /var/lib/containerd.",
                ) from None

    def summaries(self) -> list[ImageSummary]:
        found = []
        for namespace in dict.fromkeys(image.namespace for image in self._images):
            images = [image for image in self._images if image.namespace == namespace]
            found += self._store.summaries(images, _called)
        return sorted(found, key=lambda line: -line.created)

    @property
    def driver(self) -> str:
        return "containerd"

    def size(self) -> int:
        return self._store.size()

    def open_named(self, name: str, platform: str | None) -> ImageReader:
        image = self._find(name)
        reader = ContentReader(
            self._store.store([image]),
            image.digest,
            platform,
            self.source(_called(image)),
            reference=familiar(image.name),
            way="data folder, containerd",
            close=self.close,
        )
        return (self._unpacked(reader.image) if reader.image.missing else None) or reader

    def _find(self, wanted: str) -> NamedImage:
        namespace, slash, rest = wanted.partition("/")
        found = []
        if slash and any(image.namespace == namespace for image in self._images):
            among = [image for image in self._images if image.namespace == namespace]
            found = named_images(among, rest)
        found = found or named_images(self._images, wanted)
        if not found:
            raise self.missing(wanted)
        if len({image.digest for image in found}) > 1:
            names = [_called(image) for image in found]
            error = AmbiguousError(
                f"{len(names)} images are called {visible(wanted)}.",
                "Name one with its namespace.",
                names,
            )
            error.choices = tuple(map(self.source, names))
            raise error
        return found[0]

    def _unpacked(self, image: Image) -> ImageReader | None:
        """An image from snapshots of its layers; None if they are missing."""
        chains = chain_ids(tuple(layer.diff_id for layer in image.layers))
        for snapshotter in (OVERLAYFS, NATIVE):
            try:
                found = self._store.snapshots(chains[-1], snapshotter)[::-1]
            except DataFolderError as error:
                if not error.missing:
                    raise
                continue
            if [key for key, _ in found] != chains:
                continue
            folders = [folder for _, folder in found]
            layers = [FolderLayer(self._folder, folder) for folder in folders]
            if snapshotter == NATIVE:
                layers = [
                    CopyLayer(self._folder, folder, below=below)
                    for folder, below in zip(folders, ["", *folders], strict=False)
                ]
            way = f"data folder, snapshots of {snapshotter.rpartition('.')[2]}"
            whole = tuple(replace(layer, missing="", stored_size=None) for layer in image.layers)
            return FolderReader(replace(image, layers=whole), layers, way, self.close)
        return None

    def close(self) -> None:
        self._folder.close()


def _called(image: NamedImage) -> str:
    return f"{image.namespace}/{familiar(image.name)}"
