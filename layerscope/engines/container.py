"""Opens a container: its own layers from local folders, or through the engine's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from layerscope.engines.docker import DockerEngine, connect_any
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.kept_layers import open_kept
from layerscope.engines.local_store import LocalStore, NoFastWay, open_with, reason_of
from layerscope.errors import BadInputError, LayerscopeError, NotFoundError, closed_on_error
from layerscope.filesystem.changeset import Changeset
from layerscope.images.answers import InspectedContainer
from layerscope.images.containers.api import ApiLayers
from layerscope.images.containers.reader import (
    MADE_AT_BUILD,
    MADE_AT_CREATION,
    ContainerLayers,
    ContainerReader,
    OwnLayer,
    own_layers,
)
from layerscope.images.image import Image
from layerscope.images.reader import ImageReader
from layerscope.images.stores.data_folder import DataFolder
from layerscope.images.stores.folder_layer import FolderLayer, FolderLayers
from layerscope.images.stores.overlay2 import GraphStore, chain_ids
from layerscope.images.stores.podman import PodmanStore
from layerscope.text import visible

_FOLDER = re.compile(r"overlay/[A-Za-z0-9][A-Za-z0-9_-]{0,127}/diff")
_ID = re.compile(r"[0-9a-f]{64}")


class OwnFolders(FolderLayers, ContainerLayers):
    """The folders of a container's overlay that do not belong to its image."""

    def __init__(
        self, layers: Sequence[OwnLayer], folders: Sequence[FolderLayer], close: Callable[[], None]
    ) -> None:
        super().__init__(folders, close)
        self.layers = layers

    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        return [folder.walked(advance) for folder in self._folders]


def open_container(name: str, source: str, *, export: bool = False) -> ImageReader:
    """Opens a container of the current engine, running or not.

    `export` uses the engine's API even if its data folder is readable. If the engine has no such
    container, tries the embedded store. Raises LayerscopeError if there is no such container.
    """
    engine = connect_any()
    if isinstance(engine, DockerEngine):
        try:
            return _open(engine, name, source, export=export)
        except NotFoundError:
            engine.close()
            with suppress(NotFoundError):
                return open_kept(EmbeddedEngine(), name, source)
            raise
    if isinstance(engine, EmbeddedEngine):
        return open_kept(engine, name, source)
    raise NotFoundError(f"{visible(engine.name)} has no containers.", "Choose another engine.")


def _open(engine: DockerEngine, name: str, source: str, *, export: bool) -> ImageReader:
    try:
        container = engine.inspect_container(name)
        identifier = container.id
        shown = (container.name or name).removeprefix("/")
        # The image it was created from, even if its name has moved since.
        image = container.image or container.manifest.digest
        platform = container.manifest.platform
        asked = str(platform.platform) if platform.os and platform.architecture else None
        base = open_with(engine, image, source, export=export, platform=asked)
    except LayerscopeError:
        engine.close()
        raise
    with closed_on_error(base.close):
        way, why = f"{engine.name}, changes and export", ""
        expected = own_layers(len(base.image.layers), shown, created=not engine.is_podman)
        fallback: tuple[ContainerLayers, str] | None = None
        own: ContainerLayers
        try:
            own, folder = _folders(engine, container, base.image, expected, export=export)
        except NoFastWay as reason:
            own, why = ApiLayers(engine, identifier, shown, expected), str(reason)
        else:
            fallback = (ApiLayers(engine, identifier, shown, own.layers), way)
            way = f"{engine.name}, {folder}"
        return ContainerReader(base, own, fallback, name=shown, source=source, way=way, why=why)


def _folders(
    engine: DockerEngine,
    container: InspectedContainer,
    image: Image,
    expected: Sequence[OwnLayer],
    *,
    export: bool,
) -> tuple[OwnFolders, str]:
    """Returns the container's own layers in the data folder, and the read-write layer's path."""
    if export:
        raise NoFastWay("as requested")
    identifier = container.id
    with ExitStack() as opened:
        store = LocalStore(engine)
        opened.callback(store.close)
        try:
            if store.driver == "containerd":
                own, folders = _snapshots(store, identifier, image, expected[-1], opened)
            elif store.driver == "overlay":
                own, folders = expected, [_podman_folder(store.root, container)]
            else:
                upper, made = GraphStore(store.root).container(identifier)
                own = expected if made is not None else expected[-1:]
                folders = [made, upper] if made is not None else [upper]
            for folder in folders:
                folder.check()
        except BadInputError as error:
            raise NoFastWay(reason_of(error, str(store.root.path))) from None
        upper = folders[-1]
        return OwnFolders(own, folders, opened.pop_all().close), upper.root.name(upper.folder)


def _podman_folder(root: DataFolder, container: InspectedContainer) -> FolderLayer:
    if PodmanStore(root).by_program:
        raise NoFastWay("its changes are written by a program, not by the kernel")
    upper = str(container.graph.data.get("UpperDir") or "")
    folder = upper.removeprefix(f"{root.path}/")
    if not _FOLDER.fullmatch(folder):
        raise NoFastWay(f"its folder {visible(upper)} is not in {visible(str(root.path))}")
    return FolderLayer(root, folder, live=True)


def _snapshots(
    store: LocalStore, identifier: str, image: Image, written: OwnLayer, opened: ExitStack
) -> tuple[Sequence[OwnLayer], list[FolderLayer]]:
    """Returns the snapshots in the container's chain that do not belong to the image.

    Below this container's there may be snapshots from a classic build, which commits each step's
    container and puts the next one's snapshot on top.
    """
    for containerd in store.containerds():
        opened.callback(containerd.close)
        found = containerd.snapshots(identifier) if _ID.fullmatch(identifier) else []
        if not found:
            continue
        chain = chain_ids(tuple(layer.diff_id for layer in image.layers))
        if [key for key, _ in found if key.startswith("sha256:")] != chain[::-1]:
            raise NoFastWay("its snapshots do not match the image's layers")
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
    raise NoFastWay("its snapshot in containerd cannot be found")
