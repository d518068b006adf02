"""Finds the read-write layer of a container: its folder on this host, or else the engine's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from layerscope.engines.docker import Engine, connect
from layerscope.engines.local_store import LocalStore, NoFastWay, open_with, reason_of
from layerscope.errors import BadInputError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.container import ApiLayer, ContainerReader, ReadWriteLayer
from layerscope.images.data_folder import DataFolder
from layerscope.images.folder_layer import FolderLayer
from layerscope.images.located import Located
from layerscope.images.podman_store import PodmanStore
from layerscope.images.reader import ImageReader
from layerscope.text import visible

_FOLDER = re.compile(r"overlay2?/[A-Za-z0-9][A-Za-z0-9_-]{0,127}/diff")
_ID = re.compile(r"[0-9a-f]{64}")


class UpperFolder:
    """The upper folder of a container's overlay."""

    def __init__(self, layer: FolderLayer, close: Callable[[], None]) -> None:
        self._layer = layer
        self._close = close

    def changeset(self, advance: Callable[[int], None]) -> Changeset:
        """See `ReadWriteLayer.changeset`."""
        return self._layer.walked(advance)

    def content(self, changeset: Changeset, row: int) -> Iterator[bytes]:
        """See `ReadWriteLayer.content`."""
        return self._layer.content(changeset, row)

    def located(self, changeset: Changeset, row: int) -> Located:
        """See `ReadWriteLayer.located`."""
        return self._layer.located(changeset, row)

    def close(self) -> None:
        """See `ReadWriteLayer.close`."""
        self._close()


def open_container(name: str, source: str, *, export: bool = False) -> ImageReader:
    """Opens a container of the current engine, running or not.

    Args:
        name: Its name or id.
        source: Where it comes from, for people.
        export: Whether to go through the engine even where its data folder can be read.

    Raises:
        LayerscopeError: There is no such container.
    """
    engine = connect()
    try:
        container = engine.inspect_container(name)
        identifier = str(container.get("Id") or "")
        shown = str(container.get("Name") or name).removeprefix("/")
        base = open_with(
            engine, _image_of(container), source, export=export, platform=_platform_of(container)
        )
    except LayerscopeError:
        engine.close()
        raise
    try:
        api = (ApiLayer(engine, identifier, shown), f"{engine.name}, changes and export")
        top, way = _upper(engine, container, identifier, export=export)
        return ContainerReader(base, top, api, name=shown, source=source, way=way, why="")
    except NoFastWay as reason:
        top, way = api
        why = str(reason)
        return ContainerReader(base, top, None, name=shown, source=source, way=way, why=why)
    except BaseException:
        base.close()
        raise


def _image_of(container: Mapping[str, Any]) -> str:
    """The image that the container was made from, whatever its name means today."""
    descriptor = container.get("ImageManifestDescriptor") or {}
    return str(container.get("Image") or descriptor.get("digest") or "")


def _platform_of(container: Mapping[str, Any]) -> str | None:
    """The platform of the image that it was made from, where the engine tells."""
    told = (container.get("ImageManifestDescriptor") or {}).get("platform") or {}
    parts = [str(told.get(key) or "") for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part) if all(parts[:2]) else None


def _upper(
    engine: Engine, container: Mapping[str, Any], identifier: str, *, export: bool
) -> tuple[ReadWriteLayer, str]:
    if export:
        raise NoFastWay("that was asked for")
    with ExitStack() as opened:
        store = LocalStore(engine)
        opened.callback(store.close)
        try:
            if store.driver == "containerd":
                layer = _snapshot(store, identifier, opened)
            elif store.driver == "overlay" and PodmanStore(store.root).by_program:
                raise NoFastWay("what it changes is written by a program, not by the kernel")
            else:
                layer = _graph_folder(store.root, container)
            layer.check()
        except BadInputError as error:
            raise NoFastWay(reason_of(error, str(store.root.path))) from None
        way = f"{engine.name}, {layer.root.name(layer.folder)}"
        return UpperFolder(layer, opened.pop_all().close), way


def _graph_folder(root: DataFolder, container: Mapping[str, Any]) -> FolderLayer:
    data = (container.get("GraphDriver") or {}).get("Data") or {}
    upper = str(data.get("UpperDir") or "")
    folder = upper.removeprefix(f"{root.path}/")
    if not _FOLDER.fullmatch(folder):
        raise NoFastWay(f"its folder {visible(upper)} is not in {visible(str(root.path))}")
    return FolderLayer(root, folder, live=True)


def _snapshot(store: LocalStore, identifier: str, opened: ExitStack) -> FolderLayer:
    for containerd in store.containerds():
        opened.callback(containerd.close)
        folder = containerd.snapshot_folder(identifier) if _ID.fullmatch(identifier) else None
        if folder is not None:
            return FolderLayer(containerd.root, folder, live=True)
    raise NoFastWay("containerd's snapshot of it cannot be found")
