"""The storage of Podman, CRI-O and Buildah on disk, with the overlay or vfs driver.

`overlay-images/images.json` lists the images with their top layers, and
`overlay-layers/layers.json` the layers with their parents and diff_ids, beside a tar-split file for
each. The files are under `overlay/ID/diff`, or in `vfs/dir/ID` with all files of the layers below.
(containers/storage: images.go, layers.go.)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from layerscope.images.archives.blob_store import load_json
from layerscope.images.image import Image, image_from_config
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.stores.folder_layer import FolderLayer
from layerscope.images.stores.overlay2 import stored_config
from layerscope.oci.config import ImageConfig
from layerscope.text import visible

_ID = re.compile(r"[0-9a-f]{64}")

#: Exists if a program mounts layers instead of the kernel. It stores whiteouts, owners and modes
#: in upper folders differently.
_MOUNT_PROGRAM = "overlay/.has-mount-program"

#: The largest file that lists all images or layers.
_LISTS = 256 << 20


class PodmanStore:
    """The storage in a folder (`graphroot`); methods raise BadInputError if it is damaged."""

    def __init__(self, root: DataFolder, driver: str = "overlay") -> None:
        self._root = root
        self._driver = driver

    def size(self) -> int:
        """Bytes of the files of all layers."""
        return sum(self.sizes().values())

    def images(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """The id of each image, its names, and the ids of its layers, base first."""
        layers = self._layers_by_id()
        for entry in self._list(f"{self._driver}-images/images.json"):
            if _ID.fullmatch(entry["id"]):
                names = [name for name in entry.get("names") or () if isinstance(name, str)]
                chain = self._chain(str(entry.get("layer") or ""), layers)
                yield entry["id"], names, [layer for layer, _ in chain]

    def sizes(self) -> dict[str, int]:
        """The recorded bytes of each layer's files, by its id."""
        sizes = ((entry["id"], entry.get("diff-size")) for entry in self._all_layers())
        return {name: size for name, size in sizes if isinstance(size, int)}

    def config(self, name: str) -> ImageConfig:
        """The configuration of an image, by its id without the algorithm."""
        key = base64.b64encode(f"sha256:{name}".encode()).decode()
        path = f"{self._driver}-images/{name}/={key}"
        return stored_config(self._root, path, f"sha256:{name}")

    @property
    def by_program(self) -> bool:
        """Whether a program such as fuse-overlayfs writes upper folders."""
        try:
            return self._root.read(_MOUNT_PROGRAM, 4096).strip() == b"true"
        except DataFolderError:
            return False

    def image(
        self, identifier: str, reference: str, source: str
    ) -> tuple[Image, list[FolderLayer]]:
        """An image, by its id with or without the algorithm, and its layers, base first."""
        name, chain = self._image(identifier)
        config = self.config(name)
        image = image_from_config(
            config, reference=reference, image_id=f"sha256:{name}", source=source
        )
        if tuple(diff_id for _, diff_id in chain) != config.diff_ids:
            raise self._root.bad("its layers are not those of the image")
        return image, [self._layer(layer) for layer, _ in chain]

    def layers(self, identifier: str) -> dict[str, FolderLayer]:
        """The layers of an image by their ids in this store."""
        return {layer: self._layer(layer) for layer, _ in self._image(identifier)[1]}

    def layer_ids(self) -> set[str]:
        """The ids of all layers."""
        return {entry["id"] for entry in self._all_layers()}

    def _image(self, identifier: str) -> tuple[str, list[tuple[str, str]]]:
        """The digits of an image's id, and the ids and diff_ids of its layers, base first."""
        name = identifier.removeprefix("sha256:")
        entries = self._list(f"{self._driver}-images/images.json")
        top = next((entry for entry in entries if entry["id"] == name), None)
        if top is None or not _ID.fullmatch(name):
            raise self._root.bad("it does not have the image")
        return name, self._chain(str(top.get("layer") or ""), self._layers_by_id())

    def _layer(self, identifier: str) -> FolderLayer:
        if not _ID.fullmatch(identifier):
            raise self._root.bad("it names an invalid layer")
        headers = f"{self._driver}-layers/{identifier}.tar-split.gz"
        folder = f"vfs/dir/{identifier}" if self._driver == "vfs" else f"overlay/{identifier}/diff"
        return FolderLayer(self._root, folder, headers)

    def container_layer(self, identifier: str) -> str:
        """The id of a container's read-write layer; also for a build's containers."""
        for kind in ("", "volatile-"):
            for entry in self._list(f"{self._driver}-containers/{kind}containers.json"):
                layer = str(entry.get("layer") or "")
                if entry["id"] == identifier and _ID.fullmatch(layer):
                    return layer
        raise self._root.bad("it does not have the container")

    def _layers_by_id(self) -> dict[str, dict[str, Any]]:
        return {entry["id"]: entry for entry in self._all_layers()}

    def _chain(self, top: str, layers: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
        """The ids and diff_ids of a layer and all layers below it, base first."""
        chain: list[tuple[str, str]] = []
        while top:
            entry = layers.get(top)
            if entry is None or len(chain) > len(layers):
                raise self._root.bad(f"layer {visible(top)} is not there")
            chain.append((top, str(entry.get("diff-digest") or "")))
            top = str(entry.get("parent") or "")
        return chain[::-1]

    def _all_layers(self) -> list[dict[str, Any]]:
        return [
            *self._list(f"{self._driver}-layers/layers.json"),
            *self._list(f"{self._driver}-layers/volatile-layers.json"),
        ]

    def _list(self, path: str) -> list[dict[str, Any]]:
        data = self._root.read_if_there(path, _LISTS)
        document = [] if data is None else load_json(self._root.name(path), path, data)
        entries = document if isinstance(document, list) else []
        return [e for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str)]
