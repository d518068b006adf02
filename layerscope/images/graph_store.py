"""Docker's own image store with the graph driver overlay2, as it lies on disk.

`image/overlay2/repositories.json` has the names, `imagedb/content/sha256` the configurations,
`layerdb/sha256/CHAIN-ID` for each layer its diff_id, its size, the tar-split of its stream and the
name of its folder under `overlay2`. (moby: layer/filestore.go, image/fs.go, reference/store.go.)
"""

from __future__ import annotations

import hashlib
import re

from layerscope.errors import BadInputError, NotFoundError
from layerscope.images.data_folder import DataFolder, DataFolderError
from layerscope.images.folder_layer import FolderLayer
from layerscope.images.image import Image, image_from_config
from layerscope.images.save_layout import load_json, read_config, same_reference
from layerscope.images.stored import ImageSummary, StoredImage, summaries, unix_time
from layerscope.oci.config import ImageConfig
from layerscope.text import short_id, visible

_STORE = "image/overlay2"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{64}")
_CACHE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def chain_ids(diff_ids: tuple[str, ...]) -> list[str]:
    """The chain_id of each layer (OCI image specification, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        if not chain:
            chain.append(diff_id)
        else:
            both = f"{chain[-1]} {diff_id}".encode("utf-8", "surrogateescape")
            chain.append(f"sha256:{hashlib.sha256(both).hexdigest()}")
    return chain


class GraphStore:
    """The image store in a data folder of Docker."""

    def __init__(self, root: DataFolder) -> None:
        self._root = root

    @property
    def present(self) -> bool:
        """Whether the data folder has such a store, with anything in it."""
        return bool(self._root.list(f"{_STORE}/imagedb/content/sha256"))

    def names(self) -> dict[str, list[str]]:
        """The names of images, by id.

        Raises:
            BadInputError: The file that has them is damaged.
        """
        path = f"{_STORE}/repositories.json"
        try:
            document = load_json(self._root.name(path), path, self._root.read(path))
        except DataFolderError as error:
            if error.missing:
                return {}
            raise
        found: dict[str, list[str]] = {}
        try:
            for references in (document["Repositories"] or {}).values():
                for name, identifier in references.items():
                    found.setdefault(str(identifier), []).append(str(name))
        except (AttributeError, KeyError, TypeError):
            raise BadInputError(self._root.name(path), None, "it is no list of names") from None
        return found

    def find(self, wanted: str) -> tuple[str, str]:
        """The id of an image, and a name for it.

        Args:
            wanted: A reference, an id or the beginning of one.

        Raises:
            NotFoundError: There is no such image.
        """
        names = self.names()
        for identifier, references in names.items():
            for reference in references:
                if same_reference(wanted, reference):
                    return identifier, reference
        prefix = wanted.removeprefix("sha256:")
        identifiers = [f"sha256:{name}" for name in self._identifiers() if name.startswith(prefix)]
        if len(identifiers) == 1 and len(prefix) >= 4:
            identifier = identifiers[0]
            tags = [name for name in names.get(identifier, ()) if "@" not in name]
            return identifier, tags[0] if tags else identifier
        raise NotFoundError(
            f"{visible(str(self._root.path))} holds no image {visible(wanted)}.",
            "`layerscope images docker-root:DIR` lists what it holds.",
        )

    def config(self, identifier: str) -> ImageConfig:
        """The configuration of an image, checked against its id.

        Raises:
            BadInputError: It cannot be read, or is another one.
        """
        if not _DIGEST.fullmatch(identifier):
            raise BadInputError(visible(str(self._root.path)), None, "it names an odd image id")
        path = f"{_STORE}/imagedb/content/sha256/{identifier.partition(':')[2]}"
        data = self._root.read(path)
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != identifier:
            raise BadInputError(self._root.name(path), None, "its content has another digest")
        return read_config(self._root.name(path), short_id(identifier), data)

    def image(self, identifier: str, reference: str, source: str) -> Image:
        """An image.

        Raises:
            BadInputError: Its configuration cannot be read.
        """
        return image_from_config(
            self.config(identifier), reference=reference, image_id=identifier, source=source
        )

    def layers(self, image: Image) -> list[FolderLayer]:
        """Where the layers of an image are, base first.

        Raises:
            BadInputError: One is not there.
        """
        return [self.layer(chain) for chain in chain_ids(tuple(x.diff_id for x in image.layers))]

    def layer(self, chain: str) -> FolderLayer:
        """Where a layer is.

        Raises:
            BadInputError: It is not there.
        """
        path = self._entry(chain)
        folder = self._folder(f"{path}/cache-id")
        return FolderLayer(self._root, folder, f"{path}/tar-split.json.gz")

    def _folder(self, path: str) -> str:
        """The folder with a layer's files, which a file names."""
        name = self._root.read(path, 4096).decode("ascii", "replace").strip()
        if not _CACHE_ID.fullmatch(name):
            raise BadInputError(self._root.name(path), None, "it names no folder")
        return f"overlay2/{name}/diff"

    def layer_size(self, chain: str) -> int:
        """Bytes of a layer's files, as Docker counted them; 0 if it did not.

        Raises:
            BadInputError: It cannot be read.
        """
        text = self._text(f"{self._entry(chain)}/size")
        return int(text) if text.isdecimal() else 0

    def summaries(self) -> list[ImageSummary]:
        """The images as `docker images` lists them: those with a name, and those on top."""
        names = self.names()
        images = []
        below: set[str] = set()
        sizes: dict[str, int] = {}
        for name in self._identifiers():
            identifier = f"sha256:{name}"
            config = self.config(identifier)
            parent = f"{_STORE}/imagedb/metadata/sha256/{name}/parent"
            below.add(self._text(parent))
            chain = tuple(chain_ids(config.diff_ids))
            for layer in chain:
                if layer not in sizes:
                    sizes[layer] = self.layer_size(layer)
            images.append(
                StoredImage(
                    identifier, tuple(names.get(identifier, ())), unix_time(config.created), chain
                )
            )
        listed = [image for image in images if image.names or image.id not in below]
        return summaries(listed, sizes)

    def container(self, identifier: str) -> tuple[FolderLayer, FolderLayer | None]:
        """A container's read-write layer, and the one that Docker has put below it.

        Args:
            identifier: Its whole id.

        Raises:
            BadInputError: It is not there.
        """
        if not _ID.fullmatch(identifier):
            raise BadInputError(visible(str(self._root.path)), None, "it names an odd container")
        path = f"{_STORE}/layerdb/mounts/{identifier}"
        made = f"{path}/init-id"
        upper = FolderLayer(self._root, self._folder(f"{path}/mount-id"), live=True)
        return upper, FolderLayer(self._root, self._folder(made)) if self._text(made) else None

    def _identifiers(self) -> list[str]:
        names = self._root.list(f"{_STORE}/imagedb/content/sha256")
        return [name for name in names if _ID.fullmatch(name)]

    def _entry(self, chain: str) -> str:
        if not _DIGEST.fullmatch(chain):
            raise BadInputError(visible(str(self._root.path)), None, "it names an odd layer")
        return f"{_STORE}/layerdb/sha256/{chain.partition(':')[2]}"

    def _text(self, path: str) -> str:
        try:
            return self._root.read(path, 4096).decode("ascii", "replace").strip()
        except DataFolderError as error:
            if error.missing:
                return ""
            raise
