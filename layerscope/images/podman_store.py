"""Podman's storage with the driver overlay, as it lies on disk.

`overlay-images/images.json` has the images with the layer on top of each, and
`overlay-layers/layers.json` the layers with their parents and diff_ids, beside a tar-split of each;
the files are under `overlay/ID/diff`. (containers/storage: images.go, layers.go.)
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from layerscope.errors import BadInputError
from layerscope.images.data_folder import DataFolder, DataFolderError
from layerscope.images.folder_layer import FolderLayer
from layerscope.images.image import Image, image_from_config
from layerscope.images.save_layout import load_json, read_config
from layerscope.text import short_id, visible

_ID = re.compile(r"[0-9a-f]{64}")

#: Where it is noted that not the kernel mounts layers on each other but a program of its own,
#: which writes whiteouts, owners and modes into upper folders in its own way.
_MOUNT_PROGRAM = "overlay/.has-mount-program"

#: Files that list everything there is.
_LISTS = 256 << 20


class PodmanStore:
    """The storage in a folder (`graphroot`)."""

    def __init__(self, root: DataFolder) -> None:
        self._root = root

    @property
    def by_program(self) -> bool:
        """Whether upper folders are written by a program such as fuse-overlayfs."""
        try:
            return self._root.read(_MOUNT_PROGRAM, 4096).strip() == b"true"
        except DataFolderError:
            return False

    def image(
        self, identifier: str, reference: str, source: str
    ) -> tuple[Image, list[FolderLayer]]:
        """An image and where its layers are, base first.

        Args:
            identifier: Its id, with or without its algorithm.
            reference: What it is called.
            source: Where it comes from.

        Raises:
            BadInputError: It is not there, or damaged.
        """
        name = identifier.removeprefix("sha256:")
        top = next(
            (entry for entry in self._list("overlay-images/images.json") if entry["id"] == name),
            None,
        )
        if top is None or not _ID.fullmatch(name):
            raise BadInputError(visible(str(self._root.path)), None, "it does not hold the image")
        key = base64.b64encode(f"sha256:{name}".encode()).decode()
        path = f"overlay-images/{name}/={key}"
        data = self._root.read(path)
        if hashlib.sha256(data).hexdigest() != name:
            raise BadInputError(self._root.name(path), None, "its content has another digest")
        config = read_config(self._root.name(path), short_id(identifier), data)
        image = image_from_config(
            config, reference=reference, image_id=f"sha256:{name}", source=source
        )
        chain = self._chain(str(top.get("layer") or ""))
        if tuple(diff_id for _, diff_id in chain) != config.diff_ids:
            raise BadInputError(
                visible(str(self._root.path)), None, "its layers are not those of the image"
            )
        return image, [self.layer(layer) for layer, _ in chain]

    def layer(self, identifier: str, *, live: bool = False) -> FolderLayer:
        """Where a layer is.

        Args:
            identifier: Its id.
            live: Whether it may change meanwhile.
        """
        if not _ID.fullmatch(identifier):
            raise BadInputError(visible(str(self._root.path)), None, "it names an odd layer")
        headers = "" if live else f"overlay-layers/{identifier}.tar-split.gz"
        return FolderLayer(self._root, f"overlay/{identifier}/diff", headers, live)

    def container_layer(self, identifier: str) -> str:
        """Id of the layer that a container writes to, one of a build included.

        Raises:
            BadInputError: It is not there.
        """
        for path in (
            "overlay-containers/containers.json",
            "overlay-containers/volatile-containers.json",
        ):
            for entry in self._list(path):
                layer = str(entry.get("layer") or "")
                if entry["id"] == identifier and _ID.fullmatch(layer):
                    return layer
        raise BadInputError(visible(str(self._root.path)), None, "it does not hold the container")

    def _chain(self, top: str) -> list[tuple[str, str]]:
        """Ids and diff_ids of a layer and all below it, base first."""
        layers: dict[str, dict[str, Any]] = {}
        for path in ("overlay-layers/layers.json", "overlay-layers/volatile-layers.json"):
            layers.update({entry["id"]: entry for entry in self._list(path)})
        chain: list[tuple[str, str]] = []
        while top:
            entry = layers.get(top)
            if entry is None or len(chain) > len(layers):
                raise BadInputError(
                    visible(str(self._root.path)), None, f"layer {visible(top)} is not there"
                )
            chain.append((top, str(entry.get("diff-digest") or "")))
            top = str(entry.get("parent") or "")
        return chain[::-1]

    def _list(self, path: str) -> list[dict[str, Any]]:
        try:
            document = load_json(self._root.name(path), path, self._root.read(path, _LISTS))
        except DataFolderError as error:
            if error.missing:
                return []
            raise
        entries = document if isinstance(document, list) else []
        return [e for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str)]
