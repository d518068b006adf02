"""The files of the embedded store: an OCI image layout (image-layout.md) with safe changes.

`index.json` has an entry for each name, and `blobs/sha256` everything else by digest. A blob gets
its name when it is complete and on disk; the index is replaced as a whole. So readers need no lock,
and a killed process leaves at worst an unreferenced blob.

Changes of the index are serialized by a lock on the layout's folder, which the kernel releases when
its process ends. Each running transfer lists the blobs it needs in a file in `leases`, which its
process keeps locked; it adds digests before it relies on a blob, so that nobody removes the blob.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.bounded import read_file
from layerscope.config import store_folder
from layerscope.engines.waiting import patiently
from layerscope.errors import EngineError, LayerscopeError
from layerscope.images.archives.blob_store import (
    INDEX,
    FolderStore,
    blob_file,
    load_json,
    read_document,
)
from layerscope.oci.byte_source import opened
from layerscope.oci.manifest import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ManifestError,
    describe,
    image_manifest,
    json_bytes,
    parse_descriptor,
)
from layerscope.text import visible
from layerscope.writing import FULL, WriteBehind, failure, new_file, write_all

_LAYOUT, _VERSION = "oci-layout", b'{"imageLayoutVersion":"1.0.0"}'
_BLOBS, _LEASES = "blobs/sha256", "leases"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HEX = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20
#: Seconds to wait for another process; changes of the index take milliseconds.
_PATIENCE = 60.0
_TICK = 0.02
_FULL = "Make room: `layerscope prune` shows what can go. Or set LAYERSCOPE_STORE."
_DENIED = "Set HOME or LAYERSCOPE_STORE to a folder that can be written."

Read = Callable[[int], bytes]
Document = dict[str, Any]


@dataclass(slots=True)
class Change:
    entries: list[Document]  # Of the index, to change in place.
    garbage: Container[str] = ()  # Digests of blobs that are no longer referenced.
    freed: int = 0  # Bytes freed by removing them.


class Store:
    """The store in a folder, which is created on the first write."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or store_folder()).absolute()
        self.file = visible(str(self.folder))

    # Reading.

    @property
    def exists(self) -> bool:
        return (self.folder / INDEX).is_file()

    @property
    def version(self) -> object:
        """Changes with the index."""
        try:
            status = (self.folder / INDEX).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def files(self) -> FolderStore:
        return FolderStore(self.folder)

    def entries(self) -> list[Document]:
        """Returns the raw entries of the index.

        Raises LayerscopeError if the folder is something else, or the index is damaged.
        """
        entries: list[Document] = self._index().get("manifests", [])
        return entries

    def blob(self, digest: str) -> Path:
        """Returns the path of a blob, which may not exist."""
        return self.folder / blob_file(self.file, digest)

    def sizes(self) -> dict[str, int]:
        """Returns the sizes of all blobs, by digest."""
        found = {}
        with suppress(FileNotFoundError), os.scandir(self.folder / _BLOBS) as entries:
            for entry in entries:
                if _HEX.fullmatch(entry.name):
                    with suppress(FileNotFoundError):  # Another process removes it.
                        found[f"sha256:{entry.name}"] = entry.stat(follow_symlinks=False).st_size
        return found

    def _index(self) -> Document:
        store = self.files()
        if not self.exists:
            self._check_folder()
            return {}
        document = load_json(store.file, INDEX, read_document(store, INDEX))
        entries = document.get("manifests", []) if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise self._damaged()
        with suppress(ManifestError):
            for entry in entries:
                parse_descriptor(entry)
            return dict(document)
        raise self._damaged()

    def _damaged(self) -> EngineError:
        return EngineError(
            f"{self.file} is damaged: {INDEX} is not an image index.",
            "Move the folder away to start over, or set LAYERSCOPE_STORE to another one.",
        )

    def _check_folder(self) -> None:
        """Raises EngineError if the folder exists and is not a store."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - names are what is wanted
        except FileNotFoundError:
            return
        except OSError as error:
            raise EngineError(
                f"{self.file} cannot be read ({error.strerror}).", "Set LAYERSCOPE_STORE."
            ) from None
        if names and not {_LAYOUT, "blobs", _LEASES}.intersection(names):
            raise EngineError(
                f"{self.file} is not an OCI image layout.",
                "Set LAYERSCOPE_STORE to another folder.",
            )

    # Changes.

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[int]:
        """Keeps other processes from changing the index, or if `shared` from removing blobs.

        Yields a descriptor of the folder, which it creates. Raises LayerscopeError.
        """
        with self.translated():
            self._check_folder()
            for name in (_BLOBS, _LEASES):
                (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            with opened(os.open(self.folder, _FOLDER)) as fd:
                with patiently("another process that changes the embedded store"):
                    self._lock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
                if not (self.folder / _LAYOUT).exists():
                    self._write(fd, _LAYOUT, _VERSION)
                yield fd

    def _lock(self, fd: int, kind: int) -> None:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            else:
                return
            if time.monotonic() > end:
                raise EngineError(
                    f"Another process has been changing {self.file} for a minute.",
                    "If it hangs, end it, then try again.",
                )
            time.sleep(_TICK)

    @contextmanager
    def changed(self) -> Iterator[Change]:
        """Changes the index at the end of the block, and then removes the resulting garbage."""
        with self.locked() as folder:
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], **self._index()}
            before = json_bytes(index["manifests"])
            change = Change(index["manifests"])
            yield change
            if json_bytes(index["manifests"]) != before or not self.exists:
                with self.translated():
                    self._write(folder, INDEX, json_bytes(index))
            if change.garbage:
                change.freed = self._remove_blobs(change.garbage)

    def _write(self, folder: int, name: str, data: bytes) -> None:
        with new_file(folder, 0o644) as file:
            write_all(file.fd, data)
            file.give_name(os.fsencode(name), replace=True, durable=True)

    def _remove_blobs(self, digests: Container[str]) -> int:
        """Removes blobs that no transfer needs; returns the freed bytes."""
        freed = 0
        leased = self.leased()
        with self.translated(), opened(os.open(self.folder / _BLOBS, _FOLDER)) as folder:
            for digest, size in self.sizes().items():
                if digest in digests and digest not in leased:
                    os.unlink(digest.partition(":")[2], dir_fd=folder)
                    freed += size
            os.fsync(folder)
        return freed

    # Leases.

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Protects the blobs that the block adds or claims until it ends."""
        with self.locked(shared=True):
            path = self.folder / _LEASES / os.urandom(8).hex()
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            yield Lease(self, fd)
        finally:
            with suppress(OSError):
                path.unlink()
            os.close(fd)

    def leased(self) -> set[str]:
        """Returns the digests that live processes need; removes the leases of dead ones."""
        found: set[str] = set()
        for path in (self.folder / _LEASES).glob("*"):
            with suppress(OSError), opened(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as fd:
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.update(read_file(path).decode("ascii", "replace").split())
                else:
                    path.unlink()
        return found

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Converts an OSError in the block to a LayerscopeError."""
        try:
            yield
        except OSError as error:
            hint = _FULL if error.errno in FULL else _DENIED
            raise LayerscopeError(failure(error, self.file), hint) from None


class Lease:
    """The blobs that a transfer needs; see `Store.lease`."""

    def __init__(self, store: Store, fd: int) -> None:
        self._store = store
        self._fd = fd

    def claim(self, digest: str) -> int | None:
        """Protects a blob; returns its size, or None if it does not exist yet."""
        with self._store.locked(shared=True), self._store.translated():
            write_all(self._fd, f"{digest}\n".encode())
            try:
                path = self._store.folder / _BLOBS / digest.removeprefix("sha256:")
                return path.stat().st_size if _HEX.fullmatch(path.name) else None
            except FileNotFoundError:
                return None

    def add(
        self,
        read: Read,
        wanted: Container[str] | None = None,
        look: Callable[[Read], object] = bool,
    ) -> tuple[str, int]:
        """Adds a blob, unless its digest is not `wanted`; returns its digest and size.

        `look` may read any number of bytes before they are added.

        Raises LayerscopeError if it cannot be written, and leaves nothing behind.
        """
        store = self._store
        digest = hashlib.sha256()
        with store.translated():
            blobs = os.open(store.folder / _BLOBS, _FOLDER)
        with opened(blobs), store.translated(), new_file(blobs, 0o644) as file:
            behind, ended = WriteBehind(file.fd), False

            def take(size: int) -> bytes:
                nonlocal ended
                piece = b"" if ended else read(size)
                ended = not piece
                digest.update(piece)
                behind.write(piece)
                return piece

            look(take)
            while take(_PIECE):
                pass
            size = behind.size
            name = f"sha256:{digest.hexdigest()}"
            if (wanted is None or name in wanted) and self.claim(name) != size:
                file.give_name(digest.hexdigest().encode(), replace=True, durable=True)
        return name, size

    def add_document(self, data: bytes, descriptor: Descriptor) -> Descriptor:
        """Adds a document, and returns its descriptor."""
        if self.claim(descriptor.digest) != descriptor.size:
            pieces = iter((data, b""))
            self.add(lambda _: next(pieces))
        return descriptor

    def add_image(
        self, document: bytes, layers: Sequence[Descriptor], platform: str | None
    ) -> tuple[str, Descriptor]:
        """Adds a configuration and its manifest; returns the image's id and the manifest."""
        config = self.add_document(document, describe(document, OCI_CONFIG))
        data = image_manifest(config, layers)
        return config.digest, self.add_document(data, describe(data, OCI_MANIFEST, platform))
