"""Docker's own image store on disk, with the overlay2 graph driver.

Names are in `image/overlay2/repositories.json`, configurations in `imagedb/content/sha256`;
`layerdb/sha256/CHAIN-ID` has each layer's diff_id, size, tar-split file and its folder's name under
`overlay2`. (moby: layer/filestore.go, image/fs.go, reference/store.go.)
"""

from __future__ import annotations

import hashlib
import re
from itertools import accumulate

from layerscope.errors import NotFoundError
from layerscope.images.archives.blob_store import load_json
from layerscope.images.archives.save_format import read_config, same_reference
from layerscope.images.image import Image, image_from_config
from layerscope.images.stores.data_folder import DataFolder
from layerscope.images.stores.folder_layer import FolderLayer
from layerscope.images.summary import ImageSummary, StoredImage, summaries, unix_time
from layerscope.oci.config import ImageConfig
from layerscope.text import not_expected, short_id, visible

_STORE = "image/overlay2"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{64}")
_CACHE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def chain_ids(diff_ids: tuple[str, ...]) -> list[str]:
    """The chain_id of each layer (OCI image specification, config.md, "Layer ChainID")."""

    def above(chain: str, diff_id: str) -> str:
        both = f"{chain} {diff_id}".encode("utf-8", "surrogateescape")
        return f"sha256:{hashlib.sha256(both).hexdigest()}"

    return list(accumulate(diff_ids, above))


def stored_config(root: DataFolder, path: str, identifier: str) -> ImageConfig:
    """The configuration of an image in a file, verified by its id; raises BadInputError."""
    data = root.read(path)
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != identifier:
        raise root.bad(not_expected("digest", identifier, found), path)
    return read_config(root.name(path), short_id(identifier), data)


def no_such_image(root: DataFolder, wanted: str) -> NotFoundError:
    path = visible(str(root.path))
    return NotFoundError(
        f"{path} holds no image {visible(wanted)}.",
        f"`layerscope images docker-root:{path}` lists what it holds.",
    )


class GraphStore:
    """The image store in Docker's data folder; methods raise BadInputError if it is damaged."""

    def __init__(self, root: DataFolder) -> None:
        self._root = root

    @property
    def present(self) -> bool:
        """Whether the data folder has such a store with images."""
        return bool(self._root.list(f"{_STORE}/imagedb/content/sha256"))

    def names(self) -> dict[str, list[str]]:
        path = f"{_STORE}/repositories.json"
        data = self._root.read_if_there(path)
        if data is None:
            return {}
        document = load_json(self._root.name(path), path, data)
        found: dict[str, list[str]] = {}
        try:
            for references in (document["Repositories"] or {}).values():
                for name, identifier in references.items():
                    found.setdefault(str(identifier), []).append(str(name))
        except (AttributeError, KeyError, TypeError):
            raise self._root.bad("it is not a list of names", path) from None
        return found

    def find(self, wanted: str) -> tuple[str, str]:
        """The id and a name of an image, from a reference, an id or its prefix.

        Raises NotFoundError if there is no such image.
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
        raise no_such_image(self._root, wanted)

    def config(self, identifier: str) -> ImageConfig:
        """The configuration of an image, verified by its id."""
        if not _DIGEST.fullmatch(identifier):
            raise self._root.bad("it names an invalid image id")
        path = f"{_STORE}/imagedb/content/sha256/{identifier.partition(':')[2]}"
        return stored_config(self._root, path, identifier)

    def image(self, identifier: str, reference: str, source: str) -> Image:
        return image_from_config(
            self.config(identifier), reference=reference, image_id=identifier, source=source
        )

    def layers(self, image: Image) -> list[FolderLayer]:
        return [self.layer(chain) for chain in chain_ids(tuple(x.diff_id for x in image.layers))]

    def layer(self, chain: str) -> FolderLayer:
        path = self._entry(chain)
        folder = self._folder(f"{path}/cache-id")
        return FolderLayer(self._root, folder, f"{path}/tar-split.json.gz")

    def _folder(self, path: str) -> str:
        """The folder of a layer's files, whose name is read from a file."""
        name = self._root.read(path, 4096).decode("ascii", "replace").strip()
        if not _CACHE_ID.fullmatch(name):
            raise self._root.bad("it does not name a folder", path)
        return f"overlay2/{name}/diff"

    def layer_size(self, chain: str) -> int:
        """Bytes of a layer's files, as Docker counted them; 0 if it did not."""
        text = self._text(f"{self._entry(chain)}/size")
        return int(text) if text.isdecimal() else 0

    def size(self) -> int:
        """Bytes of the files of all layers."""
        chains = self._root.list(f"{_STORE}/layerdb/sha256")
        return sum(self.layer_size(f"sha256:{name}") for name in chains if _ID.fullmatch(name))

    def summaries(self) -> list[ImageSummary]:
        """The images as `docker images` lists them: those with a name or without children."""
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
            sizes |= {layer: self.layer_size(layer) for layer in chain if layer not in sizes}
            tags, created = tuple(names.get(identifier, ())), unix_time(config.created)
            images.append(StoredImage(identifier, tags, created, chain))
        listed = [image for image in images if image.names or image.id not in below]
        return summaries(listed, sizes)

    def container(self, identifier: str) -> tuple[FolderLayer, FolderLayer | None]:
        """A container's read-write layer, and Docker's layer below it, by full id."""
        if not _ID.fullmatch(identifier):
            raise self._root.bad("it names an invalid container")
        path = f"{_STORE}/layerdb/mounts/{identifier}"
        made = f"{path}/init-id"
        upper = FolderLayer(self._root, self._folder(f"{path}/mount-id"), live=True)
        return upper, FolderLayer(self._root, self._folder(made)) if self._text(made) else None

    def _identifiers(self) -> list[str]:
        names = self._root.list(f"{_STORE}/imagedb/content/sha256")
        return [name for name in names if _ID.fullmatch(name)]

    def _entry(self, chain: str) -> str:
        if not _DIGEST.fullmatch(chain):
            raise self._root.bad("it names an invalid layer")
        return f"{_STORE}/layerdb/sha256/{chain.partition(':')[2]}"

    def _text(self, path: str) -> str:
        return (self._root.read_if_there(path, 4096) or b"").decode("ascii", "replace").strip()
