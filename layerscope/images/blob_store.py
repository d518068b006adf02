"""Where an OCI image layout keeps its blobs: a folder, or (`archive_file`) a tar archive of one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from layerscope.errors import BadInputError
from layerscope.oci.byte_source import ByteSource, FileRange
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.text import visible

#: The file that tells what is in an image layout (OCI image specification, image-layout.md).
INDEX = "index.json"


class BlobMissingError(BadInputError):
    """A file that an image layout does not have."""


class BlobStore(Protocol):
    """The files of an image layout (OCI image specification, image-layout.md)."""

    @property
    def file(self) -> str:
        """What the layout is called, for errors."""

    def opened(self, name: str) -> AbstractContextManager[tuple[ByteSource, int, str]]:
        """A context: the bytes of a file of the layout, their number, and a key for the cache.

        Raises:
            BlobMissingError: There is no such file.
            BadInputError: It cannot be read.
        """

    def close(self) -> None:
        """Lets go of open files."""


class FolderStore:
    """A layout in a folder.

    Attributes:
        file: What the layout is called, for errors.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = visible(str(folder))

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        """See `BlobStore.opened`. Links that lead out of the folder are not followed."""
        path = self._folder / name
        try:
            real = path.resolve(strict=True)
            real.relative_to(self._folder.resolve())
            fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it leads out of the folder"
            kind = BlobMissingError if isinstance(error, FileNotFoundError) else BadInputError
            raise kind(self.file, None, f"{visible(name)} cannot be read ({reason})") from None
        with whole_file(fd) as found:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadInputError(self.file, None, f"{visible(name)} is no file")
            yield found

    def close(self) -> None:
        """Nothing to let go of."""


@contextmanager
def whole_file(fd: int) -> Iterator[tuple[ByteSource, int, str]]:
    """An open file as `BlobStore.opened` gives it; closed in the end."""
    try:
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        key = "file:" + ":".join(map(str, identity))
        yield FileRange(fd, 0, status.st_size), status.st_size, key
    finally:
        os.close(fd)


def read_document(store: BlobStore, name: str) -> bytes:
    """A small file of a layout.

    Raises:
        BadInputError: It is not there, or too large.
    """
    with store.opened(name) as (source, size, _):
        if size > MAX_DOCUMENT:
            raise BadInputError(store.file, None, f"{visible(name)} is too large")
        return source.read(0, size)
