"""containerd's store on disk: blobs by digest, and their names in a bolt database.

The blobs are under `io.containerd.content.v1.content/blobs`, as in an OCI image layout. The store
is read as such a layout, with the database instead of its `index.json`.
(containerd: core/metadata/buckets.go, plugins/content/local.)
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.images.archives.blob_store import INDEX, read_document, whole_file
from layerscope.images.archives.oci_layout import OciLayoutReader
from layerscope.images.archives.save_format import same_reference
from layerscope.images.stores.bolt import BoltError, Bucket, Database, uvarint
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.summary import ImageSummary, StoredImage, summaries, unix_time
from layerscope.oci.byte_source import Buffer, ByteSource, opened
from layerscope.oci.manifest import OCI_MANIFEST, Descriptor
from layerscope.oci.reference import familiar
from layerscope.text import decode, visible

T = TypeVar("T")

METADATA = "io.containerd.metadata.v1.bolt/meta.db"
_CONTENT = "io.containerd.content.v1.content"
_BLOB = re.compile(r"blobs/[a-z0-9]+/[a-f0-9]{32,128}")
_SHORTEST = 4  # The shortest prefix of an id that names an image.
#: The namespace of Docker's images, unless it is configured otherwise.
DOCKER = "moby"
#: The label in which Docker stores an image's parent.
_PARENT = b"org.mobyproject.image.parent"
OVERLAYFS = "io.containerd.snapshotter.v1.overlayfs"
NATIVE = "io.containerd.snapshotter.v1.native"  # Each of its folders has a copy of all files.
SNAPSHOTTERS = (OVERLAYFS, NATIVE)

#: More than overlayfs can stack.
_MOST_SNAPSHOTS = 4096

#: The database changes while containerd runs; a read is repeated if its pages were replaced.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class NamedImage:
    """A name in the database."""

    name: str  # One for each reference, and some that contain digests.
    digest: str  # The index or manifest that it names.
    media_type: str
    size: int
    parent: str = ""  # The parent image of a classic build step; may be empty.
    namespace: str = ""


def named_images(images: Sequence[NamedImage], wanted: str) -> list[NamedImage]:
    """The images with a name, or an id prefix: of the target or of the configuration."""
    found = [image for image in images if same_reference(wanted, image.name)]
    digits = wanted.removeprefix("sha256:")
    if not found and len(digits) >= _SHORTEST:
        prefix = f"sha256:{digits}"
        found = [i for i in images if i.digest.startswith(prefix) or i.name.startswith(prefix)]
    return found


class ContentStore:
    """containerd's blobs, and an index of some images, as a `BlobStore`."""

    def __init__(self, root: DataFolder, images: Sequence[NamedImage]) -> None:
        self._root = root
        self._images = images
        self.file = visible(str(root.path))

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        if name == INDEX:
            data = self._index()
            yield Buffer(data), len(data), ""
            return
        if not _BLOB.fullmatch(name):
            raise BadInputError(self.file, None, f"it names an invalid blob, {visible(name)}")
        with whole_file(self._root.open_file(f"{_CONTENT}/{name}")) as found:
            yield found

    def close(self) -> None: ...

    def has(self, digest: str) -> bool:
        return self.holds("blobs/" + digest.replace(":", "/"))

    def holds(self, name: str) -> bool:
        try:
            with self.opened(name):
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


class ContentReader(OciLayoutReader):
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
        """Finds an image by a reference or digest in the store.

        `reference` and `image_id` replace the name in the store and the digest of the
        configuration; `close` releases what the store needs.
        """
        super().__init__(store, wanted, platform, source)
        self.way = way
        self._close = close
        self.image = replace(
            self.image, reference=reference or self.image.reference, id=image_id or self.image.id
        )

    @property
    def stored_layers(self) -> tuple[Descriptor, ...]:
        return self._manifest.layers

    def cache_key(self, layer: int) -> str | None:
        """The diff_id, which containerd verified when it unpacked the layer."""
        return self.image.layers[layer].diff_id

    def close(self) -> None:
        self._close()


class ContainerdStore:
    def __init__(self, root: DataFolder) -> None:
        self.root = root

    def close(self) -> None:
        self.root.close()

    def images(self) -> list[NamedImage]:
        """All named images, each name once, those in Docker's namespace first.

        Raises BadInputError.
        """
        found: dict[str, NamedImage] = {}
        for image in self.all_images():
            found.setdefault(image.name, image)
        return list(found.values())

    def all_images(self) -> list[NamedImage]:
        """The named images of all namespaces; raises BadInputError."""
        return self.read(METADATA, _images)

    def store(self, images: Sequence[NamedImage]) -> ContentStore:
        return ContentStore(self.root, images)

    def size(self) -> int:
        """Bytes of all blobs and of the files unpacked from them."""

        def blobs(root: Bucket) -> int:
            sizes = {}
            for _, namespace in namespaces(root):
                content = namespace.bucket(b"content", b"blob")
                for digest, blob in content.items() if content is not None else ():
                    if isinstance(blob, Bucket):
                        sizes[digest] = uvarint(blob.value(b"size")) >> 1
            return sum(sizes.values())

        def snapshots(root: Bucket) -> int:
            found = root.bucket(b"v1", b"snapshots")
            entries = () if found is None else (each for _, each in found.items())
            return sum(
                uvarint(each.value(b"size")) >> 1 for each in entries if isinstance(each, Bucket)
            )

        total = self.read(METADATA, blobs)
        for snapshotter in SNAPSHOTTERS:
            with contextlib.suppress(DataFolderError):
                total += self.read(f"{snapshotter}/metadata.db", snapshots)
        return total

    def summaries(
        self,
        images: Sequence[NamedImage] | None = None,
        called: Callable[[NamedImage], str] = lambda image: familiar(image.name),
    ) -> list[ImageSummary]:
        """The images as `docker images` lists them, with the sizes of the layers' blobs.

        `called` returns the displayed name of an image.
        """
        images = self.images() if images is None else images
        names: dict[str, list[NamedImage]] = {}
        for image in images:
            names.setdefault(image.digest, []).append(image)
        below = {image.parent for image in images}
        store = self.store(images)
        sizes: dict[str, int] = {}
        found = []
        for digest, all_names in names.items():
            named = [each for each in all_names if "@sha256:" not in each.name]
            # CRI also names an image by its id.
            named = [n for n in named if ":" in n.name and not n.name.startswith("sha256:")]
            tags = tuple(called(each) for each in named)
            if not tags and digest in below:
                continue  # Left by a build step.
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
            except LayerscopeError as error:
                if error.artifact:
                    continue
                # Only other platforms were pulled, or it is half removed; it still has a name.
            found.append(StoredImage(digest, tags, created, layers))
        return summaries(found, sizes)

    def snapshots(self, name: str, snapshotter: str = OVERLAYFS) -> list[tuple[str, str]]:
        """A snapshot, of a container or a layer's chain_id, and those below it, from the top.

        Returns for each its key, which is the chain_id for an image's layer, and its folder in the
        data folder; empty if there is no such snapshot. Raises BadInputError if the database cannot
        be read.
        """
        suffix = f"/{name}".encode()
        inner = "/fs" if snapshotter == OVERLAYFS else ""

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
                folder = f"{snapshotter}/snapshots/{number}{inner}"
                # A namespace and a number precede the key of Docker or CRI.
                found.append((decode(key).rpartition("/")[2], folder))
                key = snapshot.value(b"parent")
            return found

        return self.read(f"{snapshotter}/metadata.db", find)

    def read(self, path: str, work: Callable[[Bucket], T]) -> T:
        """Reads one of the folder's databases; raises BadInputError."""
        problem = ""
        for _ in range(_TRIES):
            try:
                with opened(self.root.open_file(path)) as fd:
                    return work(Database(fd).root)
            except BoltError as error:
                problem = str(error)
        raise BadInputError(self.root.name(path), None, problem)


def namespaces(root: Bucket) -> list[tuple[str, Bucket]]:
    version = root.bucket(b"v1")
    entries = () if version is None else version.items()
    found = [(decode(key), each) for key, each in entries if isinstance(each, Bucket)]
    # Docker's own first, then Kubernetes'; a containerd that Docker shares has others too.
    order = {name: place for place, name in enumerate((DOCKER, "k8s.io"))}
    return sorted(found, key=lambda item: order.get(item[0], len(order)))


def _images(root: Bucket) -> list[NamedImage]:
    found = []
    for namespace, bucket in namespaces(root):
        images = bucket.bucket(b"images")
        for key, image in images.items() if images is not None else ():
            target = image.bucket(b"target") if isinstance(image, Bucket) else None
            if target is None:
                continue
            size = uvarint(target.value(b"size"))
            digest, kind = (decode(target.value(key)) for key in (b"digest", b"mediatype"))
            # The size is stored as a signed number.
            name = decode(key)
            found.append(NamedImage(name, digest, kind, size >> 1, _parent(image), namespace))
    return found


def _parent(image: bytes | Bucket) -> str:
    labels = image.bucket(b"labels") if isinstance(image, Bucket) else None
    return "" if labels is None else decode(labels.value(_PARENT))


def is_there(store: ContentStore, digest: str) -> bool:
    try:
        read_document(store, "blobs/" + digest.replace(":", "/"))
    except BadInputError:
        return False
    return True
