"""containerd's store, as it lies on disk: blobs by digest, and their names in a bolt database.

The blobs are under `io.containerd.content.v1.content/blobs`, as in an OCI image layout, which is
what the store is shown as here, with the database in place of its `index.json`.
(containerd: core/metadata/buckets.go, plugins/content/local.)
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.images.blob_store import INDEX, read_document, whole_file
from layerscope.images.bolt import BoltError, Bucket, Database, uvarint
from layerscope.images.data_folder import DataFolder
from layerscope.images.oci_layout import OciLayoutReader
from layerscope.images.stored import ImageSummary, StoredImage, summaries, unix_time
from layerscope.oci.byte_source import ByteSource, FileRange
from layerscope.oci.manifest import OCI_MANIFEST, Descriptor
from layerscope.oci.reference import familiar
from layerscope.text import decode, visible

T = TypeVar("T")

METADATA = "io.containerd.metadata.v1.bolt/meta.db"
_CONTENT = "io.containerd.content.v1.content"
_BLOB = re.compile(r"blobs/[a-z0-9]+/[a-f0-9]{32,128}")
#: The label by which Docker remembers it.
_PARENT = b"org.mobyproject.image.parent"
_SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"

#: More than overlayfs can put on each other.
_MOST_SNAPSHOTS = 4096

#: The database changes while containerd runs; a read that came too late for its pages is repeated.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class NamedImage:
    """A name in the database.

    Attributes:
        name: The name; one for each reference, and some that hold digests.
        digest: What it names: an index or a manifest.
        media_type: Its media type.
        size: Its size in bytes.
        parent: The image that a classic build made it from, step by step; empty if there is none.
    """

    name: str
    digest: str
    media_type: str
    size: int
    parent: str = ""


class ContentStore:
    """containerd's blobs with some images, in the form of `blob_store.BlobStore`.

    Attributes:
        file: What it is called, for errors.
    """

    def __init__(self, root: DataFolder, images: Sequence[NamedImage]) -> None:
        self._root = root
        self._images = images
        self.file = visible(str(root.path))

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        """See `BlobStore.opened`."""
        if name == INDEX:
            data = self._index()
            yield _Bytes(data), len(data), ""
            return
        if not _BLOB.fullmatch(name):
            raise BadInputError(self.file, None, f"it names an odd blob, {visible(name)}")
        with whole_file(self._root.open_file(f"{_CONTENT}/{name}")) as found:
            yield found

    def close(self) -> None:
        """The data folder is closed by who opened it."""

    def has(self, digest: str) -> bool:
        """Whether a blob is there."""
        try:
            with self.opened("blobs/" + digest.replace(":", "/")):
                return True
        except BadInputError:
            return False

    def _index(self) -> bytes:
        manifests = [
            {
                "mediaType": image.media_type or OCI_MANIFEST,
                "digest": image.digest,
                "size": image.size,
                "annotations": {"io.containerd.image.name": image.name},
            }
            for image in self._images
        ]
        return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()


class _Bytes(FileRange):
    """Bytes in memory as a source."""

    def __init__(self, data: bytes) -> None:
        super().__init__(-1, 0, len(data))
        self._data = data

    def window(self, offset: int) -> bytes:
        return self._data[offset:]

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


class ContentReader(OciLayoutReader):
    """An image in containerd's store.

    Attributes:
        why: Nothing: there is no faster way.
    """

    why = ""

    def __init__(
        self,
        store: ContentStore,
        wanted: str,
        platform: str | None,
        source: str,
        *,
        reference: str | None = None,
        image_id: str | None = None,
        way: str,
        close: Callable[[], None],
    ) -> None:
        """Finds the image.

        Args:
            store: The store.
            wanted: A reference or a digest that it has.
            platform: `os/architecture[/variant]`, or None for that of this host.
            source: Where the image comes from.
            reference: What to call it, or None for the name in the store.
            image_id: Its id, where that is not the digest of its configuration.
            way: How to call this way of reading.
            close: Lets go of what the store needs.
        """
        super().__init__(store, wanted, platform, source)
        self.way = way
        self._close = close
        self.image = replace(
            self.image,
            reference=reference or self.image.reference,
            id=image_id or self.image.id,
        )

    @property
    def stored_layers(self) -> tuple[Descriptor, ...]:
        """The layers as they are stored, base first."""
        return self._manifest.layers

    def cache_key(self, layer: int) -> str | None:
        """The diff_id: containerd has verified it when it unpacked the layer."""
        return self.image.layers[layer].diff_id

    def close(self) -> None:
        """Closes the data folder."""
        self._close()


class ContainerdStore:
    """The data folder of containerd."""

    def __init__(self, root: DataFolder) -> None:
        self.root = root

    def close(self) -> None:
        """Closes the data folder."""
        self.root.close()

    def images(self) -> list[NamedImage]:
        """The names of all images, those of Docker's namespace first.

        Raises:
            BadInputError: The database cannot be read.
        """
        return self._read(METADATA, _images)

    def store(self, images: Sequence[NamedImage]) -> ContentStore:
        """The blobs, with some images."""
        return ContentStore(self.root, images)

    def summaries(self) -> list[ImageSummary]:
        """The images as `docker images` lists them; sizes are those of the layers' blobs."""
        images = self.images()
        names: dict[str, list[str]] = {}
        for image in images:
            names.setdefault(image.digest, []).append(image.name)
        below = {image.parent for image in images}
        store = self.store(images)
        sizes: dict[str, int] = {}
        found = []
        for digest, all_names in names.items():
            tags = tuple(familiar(n) for n in all_names if "@sha256:" not in n and ":" in n)
            if not tags and digest in below:
                continue  # what a step of a build has left
            layers: tuple[str, ...] = ()
            created = 0
            try:
                reader = ContentReader(
                    store, digest, None, "", way="", close=lambda: None, image_id=digest
                )
                for descriptor in reader.stored_layers:
                    sizes[descriptor.digest] = descriptor.size
                layers = tuple(descriptor.digest for descriptor in reader.stored_layers)
                created = unix_time(reader.image.created)
            except LayerscopeError:
                # Only other platforms of it were pulled, or it is half removed: still a name.
                pass
            found.append(StoredImage(digest, tags, created, layers))
        return summaries(found, sizes)

    def snapshots(self, container: str) -> list[tuple[str, str]]:
        """The snapshots that a container consists of, its read-write layer first.

        Args:
            container: The whole id of a container.

        Returns:
            For each its key, which is a layer's chain_id for those of images, and its folder in
            the data folder; none if there is no such container.

        Raises:
            BadInputError: The database cannot be read.
        """
        suffix = f"/{container}".encode()

        def find(root: Bucket) -> list[tuple[str, str]]:
            snapshots = root.bucket(b"v1", b"snapshots")
            if snapshots is None:
                return []
            key = next((key for key, _ in snapshots.items() if key.endswith(suffix)), b"")
            found: list[tuple[str, str]] = []
            while key:
                snapshot = snapshots.bucket(key)
                number = 0 if snapshot is None else uvarint(snapshot.value(b"id"))
                if snapshot is None or not number or len(found) == _MOST_SNAPSHOTS:
                    raise BoltError(f"snapshot {visible(decode(key))} is damaged")
                folder = f"{_SNAPSHOTTER}/snapshots/{number}/fs"
                # The namespace and a number stand before the key that Docker gave.
                found.append((decode(key).rpartition("/")[2], folder))
                key = snapshot.value(b"parent")
            return found

        return self._read(f"{_SNAPSHOTTER}/metadata.db", find)

    def _read(self, path: str, work: Callable[[Bucket], T]) -> T:
        problem = ""
        for _ in range(_TRIES):
            fd = self.root.open_file(path)
            try:
                return work(Database(fd).root)
            except BoltError as error:
                problem = str(error)
            finally:
                os.close(fd)
        raise BadInputError(self.root.name(path), None, problem)


def _images(root: Bucket) -> list[NamedImage]:
    version = root.bucket(b"v1")
    namespaces = [] if version is None else list(version.items())
    # Docker's own first; others are there where the folder is that of a containerd for all.
    namespaces.sort(key=lambda item: item[0] != b"moby")
    found: dict[str, NamedImage] = {}
    for _, namespace in namespaces:
        images = namespace.bucket(b"images") if isinstance(namespace, Bucket) else None
        for key, image in images.items() if images is not None else ():
            target = image.bucket(b"target") if isinstance(image, Bucket) else None
            if target is None:
                continue
            name = decode(key)
            size = uvarint(target.value(b"size"))
            found.setdefault(
                name,
                NamedImage(
                    name,
                    decode(target.value(b"digest")),
                    decode(target.value(b"mediatype")),
                    size >> 1,  # written as a signed number
                    _parent(image),
                ),
            )
    return list(found.values())


def _parent(image: bytes | Bucket) -> str:
    labels = image.bucket(b"labels") if isinstance(image, Bucket) else None
    return "" if labels is None else decode(labels.value(_PARENT))


def is_there(store: ContentStore, digest: str) -> bool:
    """Whether a document is in the store and has that digest."""
    try:
        read_document(store, "blobs/" + digest.replace(":", "/"))
    except BadInputError:
        return False
    return True
