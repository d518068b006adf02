"""What containerd would remove as garbage without some of Docker's images and leases.

It keeps everything reachable from images, leases and containers: by labels of blobs and snapshots,
and from a snapshot to its parent. (containerd: core/metadata/gc.go, docs/garbage-collection.md.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from layerscope.images.stores.bolt import Bucket, uvarint
from layerscope.images.stores.containerd import (
    DOCKER,
    METADATA,
    SNAPSHOTTERS,
    ContainerdStore,
    namespaces,
)
from layerscope.images.stores.data_folder import DataFolderError
from layerscope.text import decode

_CONTENT = "content"
_LABEL = "containerd.io/gc."
_SNAPSHOT_LABEL = "ref.snapshot."
#: Docker's label for build metadata of an image, which `docker system df` does not count.
_NOTES = "org.mobyproject.content.image"
#: Labels that lead to nothing.
_PLAIN = ("root", "expire", "flat")


class Node(NamedTuple):
    """A blob or a snapshot."""

    namespace: str
    kind: str  # `content`, or the name of a snapshotter.
    key: str  # The digest of a blob, or the key of a snapshot.
    #: Whether its labels are ignored, because its lease covers only what it names.
    flat: bool = False


@dataclass
class References:
    """The graph of references. Docker's images are in it by digest, and leases by name."""

    images: dict[str, list[Node]] = field(default_factory=dict)
    leases: dict[str, list[Node]] = field(default_factory=dict)
    roots: list[Node] = field(default_factory=list)  # Nodes that always stay.
    below: dict[Node, list[Node]] = field(default_factory=dict)
    sizes: dict[Node, int] = field(default_factory=dict)
    understood: bool = True  # False if it contains anything that this module does not know.

    def freed(self, images: Collection[str], leases: Mapping[str, int]) -> int | None:
        """Bytes freed by removing images, by digest, and leases, by name.

        A lease's own snapshot may still be written to: its size is the lease's, which the caller
        knows. Returns None if the answer is unknown.
        """
        known = self.images.keys() >= {*images} and self.leases.keys() >= leases.keys()
        if not (known and self.understood):
            return None
        lost, kept = list[Node](), [*self.roots]
        owned: tuple[tuple[Mapping[str, list[Node]], Collection[str]], ...]
        owned = ((self.images, images), (self.leases, leases))
        for owners, going in owned:
            for name, nodes in owners.items():
                (lost if name in going else kept).extend(nodes)
        free = self._reached(lost) - self._reached(kept)
        return sum(self.sizes.get(node) or leases.get(node.key, 0) for node in free)

    def _reached(self, nodes: Iterable[Node]) -> set[Node]:
        found: set[Node] = set()
        pending = [*nodes]
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending += self.below.get(node, ())
        return {node._replace(flat=False) for node in found}


def references(store: ContainerdStore) -> References:
    """Reads a data folder; raises BadInputError."""
    sizes: dict[tuple[str, str], int] = {}
    for snapshotter in SNAPSHOTTERS:
        kind = snapshotter.rpartition(".")[2]
        with suppress(DataFolderError):
            known = store.read(f"{snapshotter}/metadata.db", _sizes)
            sizes |= {(kind, name): size for name, size in known.items()}
    return store.read(METADATA, lambda root: _references(root, sizes))


def _sizes(root: Bucket) -> dict[str, int]:
    """Bytes of snapshots, by name, except those that are still written to."""
    return {key: _size(each) for key, each in _buckets(root, b"v1", b"snapshots")}


def _references(root: Bucket, sizes: Mapping[tuple[str, str], int]) -> References:
    found = References()
    for namespace, bucket in namespaces(root):
        _Namespace(found, namespace, bucket).read(sizes)
    return found


class _Namespace:
    def __init__(self, found: References, name: str, bucket: Bucket) -> None:
        self._found = found
        self._name = name
        self._bucket = bucket

    def read(self, sizes: Mapping[tuple[str, str], int]) -> None:
        found = self._found
        for digest, blob in _buckets(self._bucket, b"content", b"blob"):
            size = 0 if _NOTES in _labels(blob) else _size(blob)
            self._add(Node(self._name, _CONTENT, digest), blob, size)
        for kind, snapshots in _buckets(self._bucket, b"snapshots"):
            for key, snapshot in _buckets(snapshots):
                node = Node(self._name, kind, key)
                stored = (kind, decode(snapshot.value(b"name")))
                found.understood = found.understood and stored in sizes
                self._add(node, snapshot, sizes.get(stored, 0))
                if parent := decode(snapshot.value(b"parent")):
                    found.below[node].append(node._replace(key=parent))
                    found.below[node._replace(flat=True)] = [Node(self._name, kind, parent, True)]
        for _, image in _buckets(self._bucket, b"images"):
            target = image.bucket(b"target")
            digest = "" if target is None else decode(target.value(b"digest"))
            nodes = [Node(self._name, _CONTENT, digest), *self._labelled(image)]
            self._keep(found.images, digest, nodes)
        for name, lease in _buckets(self._bucket, b"leases"):
            self._keep(found.leases, name, self._leased(lease))
        for what in (b"containers", b"sandboxes"):
            for _, user in _buckets(self._bucket, what):
                found.roots += self._labelled(user)
                kind, key = (decode(user.value(each)) for each in (b"snapshotter", b"snapshotKey"))
                found.roots.append(Node(self._name, kind, key))

    def _keep(self, owners: dict[str, list[Node]], name: str, nodes: Iterable[Node]) -> None:
        if self._name == DOCKER:
            owners.setdefault(name, []).extend(nodes)
        else:
            self._found.roots += nodes

    def _add(self, node: Node, bucket: Bucket, size: int) -> None:
        self._found.sizes[node] = size
        self._found.below[node] = [*self._labelled(bucket)]
        if f"{_LABEL}root" in _labels(bucket):
            self._found.roots.append(node)

    def _labelled(self, bucket: Bucket) -> Iterator[Node]:
        for label, value in _labels(bucket).items():
            what = label.removeprefix(_LABEL)
            if what == label or what in _PLAIN:
                continue
            if what.startswith("ref.content"):
                yield Node(self._name, _CONTENT, value)
            elif what.startswith(_SNAPSHOT_LABEL):
                kind = what.removeprefix(_SNAPSHOT_LABEL).partition("/")[0]
                yield Node(self._name, kind, value)
            else:
                self._found.understood = False

    def _leased(self, lease: Bucket) -> Iterator[Node]:
        flat = f"{_LABEL}flat" in _labels(lease)
        for digest in _keys(lease.bucket(b"content")):
            yield Node(self._name, _CONTENT, digest, flat)
        for kind, snapshots in _buckets(lease, b"snapshots"):
            for key in _keys(snapshots):
                yield Node(self._name, kind, key, flat)


def _buckets(bucket: Bucket, *path: bytes) -> Iterator[tuple[str, Bucket]]:
    inner = bucket.bucket(*path)
    for key, each in inner.items() if inner is not None else ():
        if isinstance(each, Bucket):
            yield decode(key), each


def _keys(bucket: Bucket | None) -> Iterator[str]:
    for key, _ in bucket.items() if bucket is not None else ():
        yield decode(key)


def _labels(bucket: Bucket) -> dict[str, str]:
    labels = bucket.bucket(b"labels")
    items = labels.items() if labels is not None else ()
    return {decode(key): decode(value) for key, value in items if isinstance(value, bytes)}


def _size(bucket: Bucket) -> int:
    return uvarint(bucket.value(b"size")) >> 1  # It is stored as a signed number.
