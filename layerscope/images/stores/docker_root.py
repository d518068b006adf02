"""`docker-root:DIR[:NAME]`: the data folder of a Docker daemon, whether it runs or not.

Docker has one of two stores: the graph driver overlay2's, or containerd's. The latter is under
`containerd/daemon`, or in the folder of a shared containerd, which can be named instead. Nothing is
written, and access times stay if the owner may ask for that.
"""

from __future__ import annotations

import os
from pathlib import Path

from layerscope.errors import AmbiguousError, NotFoundError, closed_on_error
from layerscope.images.archives.save_format import same_reference
from layerscope.images.reader import ImageReader
from layerscope.images.stores.containerd import METADATA, ContainerdStore, ContentReader
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.stores.folder_layer import FolderReader
from layerscope.images.stores.overlay2 import GraphStore, no_such_image
from layerscope.images.summary import NONE, ImageSummary
from layerscope.oci.reference import familiar
from layerscope.text import short_id, visible

_CONTAINERD = ("containerd/daemon", "")


class DockerRoot:
    def __init__(self, path: Path) -> None:
        """Opens a data folder; raises BadInputError."""
        self._path = path
        self._folder = DataFolder(path)
        self.graph: GraphStore | None = None  # The graph driver overlay2's store, if it has one.
        self.containerd: ContainerdStore | None = None  # containerd's store, if it has one.
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

    def summaries(self) -> list[ImageSummary]:
        """The images, newest first, a line for each name.

        Raises BadInputError if the folder is damaged.
        """
        found = []
        if self.graph is not None:
            found += self.graph.summaries()
        if self.containerd is not None:
            found += self.containerd.summaries()
        return sorted(found, key=lambda line: -line.created)

    def open(self, wanted: str | None, platform: str | None) -> ImageReader:
        """Opens an image by a name, an id or its beginning; None opens the only one.

        The reader closes the folder. Raises LayerscopeError if there is no such image, or it cannot
        be read.
        """
        name = self._only() if wanted is None else wanted
        try:
            if self.graph is not None:
                identifier, reference = self.graph.find(name)
                image = self.graph.image(identifier, reference, self._source(reference))
                layers = self.graph.layers(image)
                return FolderReader(image, layers, "data folder, overlay2", self.close)
        except NotFoundError:
            if self.containerd is None:
                raise
        return self._open_content(name, platform)

    def _open_content(self, wanted: str, platform: str | None) -> ImageReader:
        assert self.containerd is not None  # noqa: S101 - one of the two is there
        images = self.containerd.images()
        prefix = wanted.removeprefix("sha256:")
        found = [image for image in images if same_reference(wanted, image.name)]
        if not found and len(prefix) >= 4:
            found = [image for image in images if image.digest.startswith(f"sha256:{prefix}")]
        if len({image.digest for image in found}) != 1:
            raise no_such_image(self._folder, wanted)
        reference = familiar(found[0].name)
        return ContentReader(
            self.containerd.store(found[:1]),
            found[0].digest,
            platform,
            self._source(reference),
            reference=reference,
            image_id=found[0].digest,
            way="data folder, containerd",
            close=self.close,
        )

    def _only(self) -> str:
        lines = self.summaries()
        if len({line.id for line in lines}) == 1:
            return lines[0].id
        names = [
            short_id(line.id) if line.tag == NONE else f"{line.repository}:{line.tag}"
            for line in lines
        ]
        path = visible(str(self._path))
        if not names:
            raise NotFoundError(f"{path} holds no image.")
        error = AmbiguousError(
            f"{path} holds {len(set(names))} images.",
            f"Name one: docker-root:{path}:NAME with NAME one of {visible(', '.join(names))}.",
            names,
        )
        error.choices = tuple(self._source(name) for name in names)
        raise error

    def _source(self, reference: str) -> str:
        return f"docker-root:{self._path}:{reference}"

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
