"""`docker-root:DIR[:NAME]`: a Docker daemon's data folder, whether it runs or not.

Docker has one of two stores: the overlay2 graph driver's or containerd's. The latter is under
`containerd/daemon`, or in the folder of a shared containerd, which can be named instead. Nothing is
written, and access times do not change if the owner may request that.
"""

from __future__ import annotations

import os
from pathlib import Path

from layerscope.errors import NotFoundError, closed_on_error
from layerscope.images.reader import ImageReader
from layerscope.images.stores.containerd import (
    METADATA,
    ContainerdStore,
    ContentReader,
    named_images,
)
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.stores.folder_layer import FolderReader
from layerscope.images.stores.overlay2 import GraphStore
from layerscope.images.stores.stored_images import StoredImages
from layerscope.images.summary import ImageSummary
from layerscope.oci.reference import familiar

_CONTAINERD = ("containerd/daemon", "")


class DockerRoot(StoredImages):
    def __init__(self, path: Path) -> None:
        """Opens a data folder; raises BadInputError."""
        self.place = f"docker-root:{path}"
        self._folder = DataFolder(path)
        self.graph: GraphStore | None = None  # The overlay2 graph driver's store.
        self.containerd: ContainerdStore | None = None
        with closed_on_error(self.close):
            graph = GraphStore(self._folder)
            if graph.present:
                self.graph = graph
            for inside in _CONTAINERD:
                if self._has(f"{inside}/{METADATA}".removeprefix("/")):
                    self.containerd = ContainerdStore(DataFolder(path / inside))
                    break
            if self.graph is None and self.containerd is None:
                raise self._folder.bad(
                    "it is not a data folder of Docker with overlay2 or containerd's image store",
                    hint="The default is /var/lib/docker.",
                )

    @property
    def driver(self) -> str:
        return "containerd" if self.graph is None else "overlay2"

    def size(self) -> int:
        stores = (self.graph, self.containerd)
        return sum(store.size() for store in stores if store is not None)

    def summaries(self) -> list[ImageSummary]:
        found = []
        if self.graph is not None:
            found += self.graph.summaries()
        if self.containerd is not None:
            found += self.containerd.summaries()
        return sorted(found, key=lambda line: -line.created)

    def open_named(self, name: str, platform: str | None) -> ImageReader:
        try:
            if self.graph is not None:
                identifier, reference = self.graph.find(name)
                image = self.graph.image(identifier, reference, self.source(reference))
                layers = self.graph.layers(image)
                return FolderReader(image, layers, "data folder, overlay2", self.close)
        except NotFoundError:
            if self.containerd is None:
                raise
        return self._open_content(name, platform)

    def _open_content(self, wanted: str, platform: str | None) -> ImageReader:
        assert self.containerd is not None  # noqa: S101 - one of the two is there
        found = named_images(self.containerd.images(), wanted)
        if len({image.digest for image in found}) != 1:
            raise self.missing(wanted)
        reference = familiar(found[0].name)
        return ContentReader(
            self.containerd.store(found[:1]),
            found[0].digest,
            platform,
            self.source(reference),
            reference=reference,
            image_id=found[0].digest,
            way="data folder, containerd",
            close=self.close,
        )

    def _has(self, path: str) -> bool:
        try:
            os.close(self._folder.open_file(path))
        except DataFolderError as error:
            if error.missing:
                return False
            raise
        return True

    def close(self) -> None:
        if self.containerd is not None:
            self.containerd.close()
        self._folder.close()
