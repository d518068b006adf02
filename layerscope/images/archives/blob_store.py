"""The files of an OCI image layout: in a folder, or (`archive_file`) in a tar archive."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from layerscope.errors import SAVE_AGAIN, BadInputError
from layerscope.oci.byte_source import ByteSource, FileRange, opened
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.records import go_json
from layerscope.text import visible

#: The file that lists the images of a layout (OCI image specification, image-layout.md).
INDEX = "index.json"
#: The file that lists the images of `docker save`, and the manifest in a folder by skopeo.
MANIFEST = "manifest.json"

#: The most files of a folder that are considered: an image has at most a thousand layers.
_MOST_NAMES = 10_000


class BlobMissingError(BadInputError):
    """A file that is missing from an image layout."""


class BlobStore(Protocol):
    """The files of an image layout (OCI image specification, image-layout.md)."""

    @property
    def file(self) -> str: ...

    def opened(self, name: str) -> AbstractContextManager[tuple[ByteSource, int, str]]:
        """A context: the bytes of a file of the layout, its size, and a cache key.

        Raises BlobMissingError if there is no such file and BadInputError if it cannot be read.
        """

    def holds(self, name: str) -> bool: ...

    def close(self) -> None: ...


def can_open(store: BlobStore, name: str) -> bool:
    """`BlobStore.holds` for a store that has to try."""
    try:
        with store.opened(name):
            return True
    except BlobMissingError:
        return False


class FolderStore:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = visible(str(folder))

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        """See `BlobStore.opened`. Links that leave the folder are not followed."""
        path = self._folder / name
        try:
            real = path.resolve(strict=True)
            real.relative_to(self._folder.resolve())
            fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, RuntimeError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else None
            reason = said or "it leads out of the folder"
            kind = BlobMissingError if isinstance(error, FileNotFoundError) else BadInputError
            raise kind(self.file, None, f"{visible(name)} cannot be read ({reason})") from None
        with whole_file(fd) as found:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadInputError(self.file, None, f"{visible(name)} is not a file")
            yield found

    def holds(self, name: str) -> bool:
        return can_open(self, name)

    def names(self) -> Iterator[str]:
        """The files at the top, and those in folders there."""
        for path in itertools.islice(self._folder.glob("*/*"), _MOST_NAMES):
            yield str(path.relative_to(self._folder))

    def close(self) -> None: ...


@contextmanager
def whole_file(fd: int) -> Iterator[tuple[ByteSource, int, str]]:
    """An open file as `BlobStore.opened` yields it; closed at the end."""
    with opened(fd):
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        key = "file:" + ":".join(map(str, identity))
        yield FileRange(fd, 0, status.st_size), status.st_size, key


def blob_file(file: str, digest: str) -> str:
    """The file of a blob in a layout. Rejects invalid digests, which must not become paths."""
    algorithm, _, value = digest.partition(":")
    if not algorithm.replace("+", "").isalnum() or not value.isalnum():
        raise BadInputError(
            file, None, f"it names {visible(digest)[:100]!r}, which is not a digest", SAVE_AGAIN
        )
    return f"blobs/{algorithm}/{value}"


def load_json(file: str, name: str, data: bytes) -> Any:
    """Parses the document `name` of `file`; raises BadInputError if it is not JSON."""
    try:
        return go_json(data)
    except ValueError:
        raise BadInputError(file, None, f"{visible(name)} is not valid JSON") from None


def read_document(store: BlobStore, name: str) -> bytes:
    """A small file of a layout; raises BadInputError if it is missing or too large."""
    with store.opened(name) as (source, size, _):
        if size > MAX_DOCUMENT:
            raise BadInputError(store.file, None, f"{visible(name)} is too large")
        return source.read(0, size)
