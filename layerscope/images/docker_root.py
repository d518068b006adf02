"""`docker-root:DIR[:NAME]`: the data folder of a Docker daemon, whether it runs or not.

Both stores that Docker can have are looked at: the graph driver overlay2, and containerd's, which
lies under `containerd/daemon` or, where a containerd for all was used, in a folder of its own that
can be named instead. Nothing is written, and access times stay where the owner may ask for that.
"""

from __future__ import annotations

import os
from pathlib import Path

from layerscope.errors import AmbiguousError, BadInputError, NotFoundError
from layerscope.images.containerd_store import METADATA, ContainerdStore, ContentReader
from layerscope.images.data_folder import DataFolder, DataFolderError
from layerscope.images.folder_layer import FolderReader
from layerscope.images.graph_store import GraphStore
from layerscope.images.reader import ImageReader
from layerscope.images.save_layout import same_reference
from layerscope.images.stored import NONE, ImageSummary
from layerscope.oci.reference import familiar
from layerscope.text import short_id, visible

_CONTAINERD = ("containerd/daemon", "")


class DockerRoot:
    """A data folder.

    Attributes:
        graph: Its store of the graph driver overlay2, if it has one.
        containerd: Its store of containerd's, if it has one.
    """

    def __init__(self, path: Path) -> None:
        """Opens a data folder.

        Raises:
            BadInputError: It is none, or cannot be read.
        """
        self._path = path
        self._folder = DataFolder(path)
        self.graph: GraphStore | None = None
        self.containerd: ContainerdStore | None = None
        try:
            graph = GraphStore(self._folder)
            if graph.present:
                self.graph = graph
            for inside in _CONTAINERD:
                if self._has(f"{inside}/{METADATA}".removeprefix("/")):
                    self.containerd = ContainerdStore(DataFolder(path / inside))
                    break
            if self.graph is None and self.containerd is None:
                raise BadInputError(
                    visible(str(path)),
                    None,
                    "it is no data folder of Docker with overlay2 or containerd's image store",
                    "Docker's own is /var/lib/docker.",
                )
        except BaseException:
            self.close()
            raise

    def summaries(self) -> list[ImageSummary]:
        """The images, newest first, a line for each name.

        Raises:
            BadInputError: The folder is damaged.
        """
        found = []
        if self.graph is not None:
            found += self.graph.summaries()
        if self.containerd is not None:
            found += self.containerd.summaries()
        return sorted(found, key=lambda line: -line.created)

    def open(self, wanted: str | None, platform: str | None) -> ImageReader:
        """Opens an image; the reader closes the folder.

        Args:
            wanted: A name, an id or the beginning of one, or None if there should be only one.
            platform: `os/architecture[/variant]`, or None for that of this host.

        Raises:
            LayerscopeError: There is no such image, or it cannot be read.
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
            raise NotFoundError(
                f"{visible(str(self._path))} holds no image {visible(wanted)}.",
                f"`layerscope images docker-root:{visible(str(self._path))}` lists what it holds.",
            )
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
        """Closes the folder; may be called twice."""
        if self.containerd is not None:
            self.containerd.close()
        self._folder.close()


def open_docker_root(path: Path, wanted: str | None, platform: str | None) -> ImageReader:
    """Opens an image in a data folder.

    Raises:
        LayerscopeError: There is no such image, or it cannot be read.
    """
    root = DockerRoot(path)
    try:
        return root.open(wanted, platform)
    except BaseException:
        root.close()
        raise
