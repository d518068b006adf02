"""Opens an engine's image from its data folder, if the engine runs on this host.

This is much faster than an export. Finds images by the digests of their configurations and layers
by their diff_ids or digests: a folder that has them is the right one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from layerscope.engines.docker import DockerEngine, connect_any
from layerscope.engines.engine import Engine
from layerscope.errors import (
    BadInputError,
    LayerscopeError,
    NotFoundError,
    PlatformMissingError,
    closed_on_error,
)
from layerscope.images.answers import Info, Inspected
from layerscope.images.archives.engine_export import EngineExportReader
from layerscope.images.image import Image
from layerscope.images.reader import ImageReader
from layerscope.images.stores.containerd import ContainerdStore, ContentReader, NamedImage, is_there
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.stores.folder_layer import FolderReader
from layerscope.images.stores.overlay2 import GraphStore
from layerscope.images.stores.podman import PodmanStore
from layerscope.text import visible

#: The data of a containerd that Docker shares with others.
_SYSTEM_CONTAINERD = Path("/var/lib/containerd")
#: In Docker's data folder: the data of a containerd that Docker started itself.
OWN_CONTAINERD = "containerd/daemon"


class NoFastWay(Exception):
    """The data folder cannot be used; the text is the reason, to end a sentence with."""


def open_in_engine(
    name: str, source: str, *, export: bool = False, platform: str | None = None
) -> ImageReader:
    """Opens an image of the current engine in the fastest way; see `Request` for the options.

    Raises LayerscopeError if there is no engine, or it has no such image.
    """
    engine = connect_any()
    try:
        return open_with(engine, name, source, export=export, platform=platform)
    except LayerscopeError:
        engine.close()
        raise


def open_with(
    engine: Engine, name: str, source: str, *, export: bool = False, platform: str | None = None
) -> ImageReader:
    """Opens an image of an engine, which the reader will close; see `open_in_engine`."""
    direct = engine.open(name, source, platform)
    if direct is not None:
        return direct
    reader = EngineExportReader(engine, name, source, platform)
    if reader.platform is not None:
        platform = str(reader.platform)
    try:
        if export:
            raise NoFastWay("as requested")
        store = LocalStore(engine)
        with closed_on_error(store.close):
            return store.open(reader.image, reader.inspected, source, platform)
    except NoFastWay as reason:
        reader.why = str(reason)
    if not engine.is_local:
        reader.price = reader.inspected.size
    if export or not isinstance(engine, DockerEngine) or not engine.is_behind_ssh:
        return reader
    # Not at the top: only engines behind ssh need it.
    from layerscope.engines.remote.peer import NoPeer
    from layerscope.engines.remote.reader import RemoteReader

    try:
        return RemoteReader(engine.address, reader)
    except NoPeer as reason:
        reader.why = f"the engine is on another host, and {reason}"
        return reader


class LocalStore:
    """The data folder of an engine on this host."""

    driver: str  # The storage driver: `overlay2`, `overlay` (Podman's) or `containerd`.

    def __init__(self, engine: Engine) -> None:
        """Finds the folder; raises NoFastWay if there is none or it is unreadable."""
        if not engine.is_local:
            raise NoFastWay("the engine is on another host")
        info = engine.info()
        self.driver = _driver(info, engine.name)
        path = info.folder
        if not path.startswith("/"):
            raise NoFastWay("the engine does not say where its data is")
        self._engine = engine
        try:
            self.root = DataFolder(Path(path))
        except DataFolderError as error:
            raise NoFastWay(reason_of(error, path)) from None

    def open(
        self, image: Image, inspected: Inspected, source: str, platform: str | None
    ) -> ImageReader:
        """Opens an image; the reader closes the folder.

        Raises NoFastWay if it is missing or incomplete, and PlatformMissingError if it exists only
        for other platforms.
        """
        try:
            return self._open(image, inspected, source, platform)
        except PlatformMissingError:
            raise
        except (BadInputError, NotFoundError) as error:
            raise NoFastWay(reason_of(error, str(self.root.path))) from None

    def _open(
        self, image: Image, inspected: Inspected, source: str, platform: str | None
    ) -> ImageReader:
        way = f"{self._engine.name}, {visible(str(self.root.path))}"
        if self.driver == "containerd":
            return self._open_content(image, inspected, source, platform)
        if self.driver == "overlay":
            found, layers = PodmanStore(self.root).image(image.id, image.reference, source)
        else:
            store = GraphStore(self.root)
            found = store.image(image.id, image.reference, source)
            layers = store.layers(found)
        for layer in layers:
            # The engine's folder may still be inaccessible.
            layer.check()
        return FolderReader(found, layers, f"{way}, {self.driver}", self._close)

    def _open_content(
        self, image: Image, inspected: Inspected, source: str, platform: str | None
    ) -> ImageReader:
        descriptor = inspected.descriptor
        digest = descriptor.digest or image.id
        named = NamedImage(image.reference, digest, descriptor.media_type, descriptor.size)
        for store in self.containerds():
            content = store.store([named])
            if not is_there(content, digest):
                store.close()
                continue

            def close(store: ContainerdStore = store) -> None:
                store.close()
                self._close()

            with closed_on_error(store.close):
                reader = ContentReader(
                    content,
                    digest,
                    platform,
                    source,
                    reference=image.reference,
                    image_id=image.id,
                    way=f"{self._engine.name}, {content.file}, blobs",
                    close=close,
                )
                if not all(content.has(layer.digest) for layer in reader.stored_layers):
                    raise NoFastWay("containerd has not kept the blobs of all layers")
            return reader
        raise NoFastWay(
            f"it is not in {visible(str(self.root.path / OWN_CONTAINERD))} or "
            f"{_SYSTEM_CONTAINERD}, or these cannot be read"
        )

    def containerds(self) -> Iterator[ContainerdStore]:
        """Yields the existing containerd folders; the caller must close them."""
        for path in (self.root.path / OWN_CONTAINERD, _SYSTEM_CONTAINERD):
            try:
                yield ContainerdStore(DataFolder(path))
            except DataFolderError:
                continue

    def _close(self) -> None:
        self.root.close()
        self._engine.close()

    def close(self) -> None:
        self.root.close()


def _driver(info: Info, name: str) -> str:
    driver = info.driver
    if info.snapshotter:
        return "containerd"
    if driver == "overlay2" or (driver == "overlay" and name.startswith("Podman")):
        return driver
    raise NoFastWay(f"its storage driver is {visible(driver) or 'unknown'}")


def reason_of(error: BadInputError | NotFoundError, path: str) -> str:
    """Returns why something in a data folder could not be read, to end a sentence with."""
    if isinstance(error, DataFolderError):
        if "root" in error.hint:
            return f"reading {visible(path)} needs root"
        if error.missing:
            return f"{error.file} is missing"
    return error.message.rstrip(".")
