"""The fast way to an engine's image: where the engine runs on this host, its own data folder.

Images are found by the digests of their configurations, layers by their diff_ids or digests: a
folder that has them is the right one, whatever the engine said of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layerscope.engines.docker import Engine, connect
from layerscope.errors import (
    BadInputError,
    LayerscopeError,
    NotFoundError,
    PlatformMissingError,
)
from layerscope.images.containerd_store import ContainerdStore, ContentReader, NamedImage, is_there
from layerscope.images.data_folder import DataFolder, DataFolderError
from layerscope.images.engine_export import EngineExportReader
from layerscope.images.folder_layer import FolderReader
from layerscope.images.graph_store import GraphStore
from layerscope.images.image import Image
from layerscope.images.podman_store import PodmanStore
from layerscope.images.reader import ImageReader
from layerscope.text import visible

#: Where a containerd keeps its data that Docker shares with others.
_SYSTEM_CONTAINERD = Path("/var/lib/containerd")
#: And one that Docker has started for itself, in Docker's data folder.
OWN_CONTAINERD = "containerd/daemon"


class NoFastWay(Exception):
    """The data folder cannot be used; the text says why, as the end of a sentence."""


def open_in_engine(
    name: str, source: str, *, export: bool = False, platform: str | None = None
) -> ImageReader:
    """Opens an image of the current engine, the fastest way that there is.

    Args:
        name: Name or id of the image.
        source: Where it comes from, for people.
        export: Whether the engine is to export it in any case.
        platform: `os/architecture[/variant]` to choose where it has several; None for this host's.

    Raises:
        LayerscopeError: There is no engine, or it has no such image.
    """
    engine = connect()
    try:
        return open_with(engine, name, source, export=export, platform=platform)
    except LayerscopeError:
        engine.close()
        raise


def open_with(
    engine: Engine, name: str, source: str, *, export: bool = False, platform: str | None = None
) -> ImageReader:
    """The same with an engine that is connected already; the reader closes it.

    Raises:
        LayerscopeError: It has no such image.
    """
    reader = EngineExportReader(engine, name, source, platform)
    if reader.platform is not None:
        platform = str(reader.platform)
    try:
        if export:
            raise NoFastWay("that was asked for")
        store = LocalStore(engine)
        try:
            return store.open(reader.image, reader.inspected, source, platform)
        except BaseException:
            store.close()
            raise
    except NoFastWay as reason:
        reader.why = str(reason)
        return reader


class LocalStore:
    """The data folder of an engine, if it is one of this host's and may be read.

    Attributes:
        root: The folder.
        driver: What keeps the layers: `overlay2`, `overlay` (Podman's) or `containerd`.
    """

    def __init__(self, engine: Engine) -> None:
        """Finds the folder.

        Raises:
            NoFastWay: There is none to be read.
        """
        if not engine.host.startswith(("unix://", "http+unix://")):
            raise NoFastWay("the engine is on another host")
        info = engine.info()
        self.driver = _driver(info, engine.name)
        path = str(info.get("DockerRootDir") or "")
        if not path.startswith("/"):
            raise NoFastWay("the engine does not say where its data are")
        self._engine = engine
        try:
            self.root = DataFolder(Path(path))
        except DataFolderError as error:
            raise NoFastWay(reason_of(error, path)) from None

    def open(
        self, image: Image, inspected: Mapping[str, Any], source: str, platform: str | None
    ) -> ImageReader:
        """Opens an image; the reader closes the folder.

        Args:
            image: What the engine says of it.
            inspected: The engine's own words.
            source: Where it comes from.
            platform: `os/architecture[/variant]`, or None for that of this host.

        Raises:
            NoFastWay: It is not there as it should be.
            PlatformMissingError: It is there for other platforms.
        """
        try:
            return self._open(image, inspected, source, platform)
        except PlatformMissingError:
            raise
        except (BadInputError, NotFoundError) as error:
            raise NoFastWay(reason_of(error, str(self.root.path))) from None

    def _open(
        self, image: Image, inspected: Mapping[str, Any], source: str, platform: str | None
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
            # That the engine names a folder does not mean that we may read it.
            layer.check()
        return FolderReader(found, layers, f"{way}, {self.driver}", self._close)

    def _open_content(
        self, image: Image, inspected: Mapping[str, Any], source: str, platform: str | None
    ) -> ImageReader:
        descriptor = inspected.get("Descriptor") or {}
        digest = str(descriptor.get("digest") or image.id)
        named = NamedImage(
            image.reference,
            digest,
            str(descriptor.get("mediaType") or ""),
            int(descriptor.get("size") or 0),
        )
        for store in self.containerds():
            content = store.store([named])
            if not is_there(content, digest):
                store.close()
                continue

            def close(store: ContainerdStore = store) -> None:
                store.close()
                self._close()

            try:
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
                    raise NoFastWay("containerd has not kept all of the layers' blobs")
            except BaseException:
                store.close()
                raise
            return reader
        raise NoFastWay(
            f"neither {visible(str(self.root.path / OWN_CONTAINERD))} nor {_SYSTEM_CONTAINERD} "
            "can be read and has it"
        )

    def containerds(self) -> Iterator[ContainerdStore]:
        """The containerd folders there are; each is to be closed."""
        for path in (self.root.path / OWN_CONTAINERD, _SYSTEM_CONTAINERD):
            try:
                yield ContainerdStore(DataFolder(path))
            except DataFolderError:
                continue

    def _close(self) -> None:
        self.root.close()
        self._engine.close()

    def close(self) -> None:
        """Closes the folder, not the engine."""
        self.root.close()


def _driver(info: Mapping[str, Any], name: str) -> str:
    driver = str(info.get("Driver") or "")
    status = [entry for entry in info.get("DriverStatus") or [] if len(entry) == 2]
    if any(str(value).startswith("io.containerd.snapshotter") for _, value in status):
        return "containerd"
    if driver == "overlay2" or (driver == "overlay" and name.startswith("Podman")):
        return driver
    raise NoFastWay(f"its storage driver is {visible(driver) or 'not told'}")


def reason_of(error: BadInputError | NotFoundError, path: str) -> str:
    """Why something in a data folder could not be read, as the end of a sentence."""
    if isinstance(error, DataFolderError):
        if "root" in error.hint:
            return f"reading {visible(path)} needs root"
        if error.missing:
            return f"{error.file} is not there"
    return error.message.rstrip(".")
