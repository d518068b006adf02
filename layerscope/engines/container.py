"""Finds a container's own layers: their folders on this host, or else the engine's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from layerscope.engines.docker import Engine, connect
from layerscope.engines.local_store import LocalStore, NoFastWay, open_with, reason_of
from layerscope.errors import BadInputError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.container import (
    MADE_AT_BUILD,
    MADE_AT_CREATION,
    ContainerLayers,
    ContainerReader,
    OwnLayer,
    own_layers,
)
from layerscope.images.container_api import ApiLayers
from layerscope.images.data_folder import DataFolder
from layerscope.images.folder_layer import FolderLayer
from layerscope.images.graph_store import GraphStore, chain_ids
from layerscope.images.image import Image
from layerscope.images.located import Located
from layerscope.images.podman_store import PodmanStore
from layerscope.images.reader import ImageReader
from layerscope.text import visible

_FOLDER = re.compile(r"overlay/[A-Za-z0-9][A-Za-z0-9_-]{0,127}/diff")
_ID = re.compile(r"[0-9a-f]{64}")


class OwnFolders:
    """The folders of a container's overlay that are not its image's.

    Attributes:
        layers: What they are.
    """

    def __init__(
        self,
        layers: Sequence[OwnLayer],
        folders: Sequence[FolderLayer],
        close: Callable[[], None],
    ) -> None:
        self.layers = layers
        self._folders = folders
        self._close = close

    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        """See `ContainerLayers.changesets`."""
        return [folder.walked(advance) for folder in self._folders]

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """See `ContainerLayers.content`."""
        return self._folders[layer].content(changeset, row)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located:
        """See `ContainerLayers.located`."""
        return self._folders[layer].located(changeset, row)

    def close(self) -> None:
        """See `ContainerLayers.close`."""
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
        way, why = f"{engine.name}, changes and export", ""
        told = own_layers(len(base.image.layers), shown, created=not engine.is_podman)
        fallback: tuple[ContainerLayers, str] | None = None
        own: ContainerLayers
        try:
            own, folder = _folders(engine, container, base.image, told, export=export)
        except NoFastWay as reason:
            own, why = ApiLayers(engine, identifier, shown, told), str(reason)
        else:
            fallback = (ApiLayers(engine, identifier, shown, own.layers), way)
            way = f"{engine.name}, {folder}"
        return ContainerReader(base, own, fallback, name=shown, source=source, way=way, why=why)
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


def _folders(
    engine: Engine,
    container: Mapping[str, Any],
    image: Image,
    told: Sequence[OwnLayer],
    *,
    export: bool,
) -> tuple[OwnFolders, str]:
    """The container's own layers in the data folder, and where the read-write layer is."""
    if export:
        raise NoFastWay("that was asked for")
    identifier = str(container.get("Id") or "")
    with ExitStack() as opened:
        store = LocalStore(engine)
        opened.callback(store.close)
        try:
            if store.driver == "containerd":
                own, folders = _snapshots(store, identifier, image, told[-1], opened)
            elif store.driver == "overlay":
                own, folders = told, [_podman_folder(store.root, container)]
            else:
                own, folders = _graph_folders(store.root, identifier, told)
            for folder in folders:
                folder.check()
        except BadInputError as error:
            raise NoFastWay(reason_of(error, str(store.root.path))) from None
        upper = folders[-1]
        close = opened.pop_all().close
        return OwnFolders(own, folders, close), upper.root.name(upper.folder)


def _graph_folders(
    root: DataFolder, identifier: str, told: Sequence[OwnLayer]
) -> tuple[Sequence[OwnLayer], list[FolderLayer]]:
    upper, made = GraphStore(root).container(identifier)
    return (told[-1:], [upper]) if made is None else (told, [made, upper])


def _podman_folder(root: DataFolder, container: Mapping[str, Any]) -> FolderLayer:
    if PodmanStore(root).by_program:
        raise NoFastWay("what it changes is written by a program, not by the kernel")
    data = (container.get("GraphDriver") or {}).get("Data") or {}
    upper = str(data.get("UpperDir") or "")
    folder = upper.removeprefix(f"{root.path}/")
    if not _FOLDER.fullmatch(folder):
        raise NoFastWay(f"its folder {visible(upper)} is not in {visible(str(root.path))}")
    return FolderLayer(root, folder, live=True)


def _snapshots(
    store: LocalStore, identifier: str, image: Image, written: OwnLayer, opened: ExitStack
) -> tuple[Sequence[OwnLayer], list[FolderLayer]]:
    """What is not the image's of the snapshots on each other.

    Below what was made for this container there are the like of the containers in which a classic
    build has run its steps: it commits the one, and the next lies on the other.
    """
    for containerd in store.containerds():
        opened.callback(containerd.close)
        found = containerd.snapshots(identifier) if _ID.fullmatch(identifier) else []
        if not found:
            continue
        chain = chain_ids(tuple(layer.diff_id for layer in image.layers))
        if [key for key, _ in found if key.startswith("sha256:")] != chain[::-1]:
            raise NoFastWay("its snapshots are not those of the image's layers")
        own = [OwnLayer(written.below, written.what)]
        folders = [FolderLayer(containerd.root, found[0][1], live=True)]
        below = len(chain)
        for key, folder in found[1:]:
            if key.startswith("sha256:"):
                below -= 1
            else:
                made = key == f"{identifier}-init"
                own.append(OwnLayer(below, MADE_AT_CREATION if made else MADE_AT_BUILD))
                folders.append(FolderLayer(containerd.root, folder))
        return own[::-1], folders[::-1]
    raise NoFastWay("containerd's snapshot of it cannot be found")
