"""Data folders of engines as sources, and as read-only engines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from layerscope.engines.engine import Engine
from layerscope.engines.sources import split_archive
from layerscope.errors import EngineError, UsageError, closed_on_error
from layerscope.images.reader import ImageReader
from layerscope.images.stores.stored_images import StoredImages
from layerscope.images.summary import ImageSummary
from layerscope.text import visible

#: Data folders of containerd: its default, and those of k3s, RKE2 and MicroK8s.
_CONTAINERD = (
    "/var/lib/containerd",
    "/var/lib/rancher/k3s/agent/containerd",
    "/var/snap/microk8s/common/var/lib/containerd",
)
_DOCKER, _DOCKER_SOCKET = "/var/lib/docker", "/var/run/docker.sock"


def _docker(rest: str) -> tuple[StoredImages, str | None]:
    from layerscope.images.stores.docker_root import DockerRoot

    path, wanted = split_archive(rest)
    return DockerRoot(path), wanted


def _containerd(rest: str) -> tuple[StoredImages, str | None]:
    from layerscope.images.stores.containerd_root import ContainerdRoot

    path, wanted = split_archive(rest)
    return ContainerdRoot(path), wanted


def _storage(rest: str) -> tuple[StoredImages, str | None]:
    from layerscope.images.stores.containers_storage import ContainersStorage, split_storage

    path, driver, wanted = split_storage(rest)
    return ContainersStorage(path, driver), wanted


#: Opens a data folder, by transport; takes the text after the colon.
FOLDERS: dict[str, Callable[[str], tuple[StoredImages, str | None]]] = {
    "docker-root": _docker,
    "containerd-root": _containerd,
    "containers-storage": _storage,
}


def is_folder(source: str) -> bool:
    """Whether a source or an engine's name is a data folder or an image in one."""
    return source.partition(":")[0] in FOLDERS and ":" in source


def open_folder(source: str) -> tuple[StoredImages, str | None]:
    """Opens a data folder, which the caller must close; also returns the image's name in it.

    Raises LayerscopeError if it cannot be read.
    """
    transport, _, rest = source.partition(":")
    return FOLDERS[transport](rest)


def open_in_folder(source: str, platform: str | None) -> ImageReader:
    """Opens an image of a data folder; raises LayerscopeError."""
    folder, wanted = open_folder(source)
    with closed_on_error(folder.close):
        return folder.open(wanted, platform)


def list_folder(source: str) -> list[ImageSummary]:
    """Lists the images in a data folder; raises LayerscopeError."""
    folder, wanted = open_folder(source)
    with closing(folder):
        if wanted is not None:
            hint = f"Write {visible(folder.place)}."
            raise UsageError(f"{visible(source)} names an image, not a folder.", hint)
        return folder.summaries()


def default_folders() -> Iterator[str]:
    """Yields the default data folders of engines on this host, as sources."""
    from layerscope.images.stores.containers_storage import ROOT_STORAGE, default_storage

    if Path(_DOCKER).is_dir() and not Path(_DOCKER_SOCKET).exists():
        # For a daemon that is down: a running one answers itself.
        yield f"docker-root:{_DOCKER}"
    yield from (f"containerd-root:{path}" for path in _CONTAINERD if Path(path).is_dir())
    for path in dict.fromkeys((str(default_storage()), ROOT_STORAGE)):
        if os.path.isdir(path):  # noqa: PTH112 - works even if access is denied
            yield f"containers-storage:[{path}]"


class FolderEngine(Engine):
    """A data folder as a read-only engine, which lists and opens images.

    Reopens the folder for each call, since a running engine may change it.
    """

    def __init__(self, source: str) -> None:
        """`source` is such as `containerd-root:/var/lib/containerd`; raises LayerscopeError."""
        self.host = visible(source)
        self.name = visible(source)
        self._source = source
        with closing(self.folder()) as folder:
            self.store = folder.driver

    def folder(self) -> StoredImages:
        folder, wanted = open_folder(self._source)
        if wanted is not None:
            folder.close()
            raise EngineError(f"{self.host} names an image, not a folder.", "Leave out its name.")
        return folder

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        with closing(self.folder()) as folder:
            return folder.summaries()

    def layers_size(self) -> int | None:
        with closing(self.folder()) as folder:
            return folder.size()

    def open(self, name: str, source: str, platform: str | None = None) -> ImageReader:
        """Opens an image by its name or id; raises LayerscopeError."""
        folder = self.folder()
        with closed_on_error(folder.close):
            return folder.open_named(name, platform)
