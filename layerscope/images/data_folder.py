"""The data folder of an engine, read only: no file in it is written, and no symlink followed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from layerscope.errors import BadInputError
from layerscope.filesystem.disk_walk import open_below, open_folder
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.text import visible

_PIECE = 1 << 20


class DataFolderError(BadInputError):
    """Something in a data folder that cannot be read.

    Attributes:
        missing: Whether it is not there at all.
    """

    def __init__(self, file: str, error: OSError) -> None:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        hint = "Run as root." if denied else ""
        super().__init__(file, None, f"it cannot be read ({error.strerror})", hint)
        self.missing = error.errno == errno.ENOENT


class DataFolder:
    """A folder, held open.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        """Opens a folder.

        Raises:
            DataFolderError: It cannot be opened.
        """
        self.path = path
        try:
            # The folder itself may be named by a symlink: that was the user's choice.
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DataFolderError(visible(str(path)), error) from None

    def close(self) -> None:
        """Closes it; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def name(self, path: str) -> str:
        """What a file in it is called, for people."""
        return visible(str(self.path / path))

    def open_file(self, path: str) -> int:
        """Opens a regular file for reading.

        Raises:
            DataFolderError: It cannot be opened.
        """
        try:
            return open_below(self._fd, os.fsencode(path))
        except OSError as error:
            raise DataFolderError(self.name(path), error) from None

    def open_folder(self, path: str) -> int:
        """Opens a folder in it.

        Raises:
            DataFolderError: It cannot be opened.
        """
        fd = os.dup(self._fd)
        try:
            for part in path.split("/"):
                inner = open_folder(part, fd)
                os.close(fd)
                fd = inner
        except OSError as error:
            os.close(fd)
            raise DataFolderError(self.name(path), error) from None
        return fd

    def read(self, path: str, limit: int = MAX_DOCUMENT) -> bytes:
        """The content of a small file.

        Raises:
            BadInputError: It cannot be read, or is larger than the limit.
        """
        fd = self.open_file(path)
        try:
            pieces: list[bytes] = []
            left = limit + 1
            while left > 0 and (piece := os.read(fd, min(left, _PIECE))):
                pieces.append(piece)
                left -= len(piece)
        except OSError as error:
            raise DataFolderError(self.name(path), error) from None
        finally:
            os.close(fd)
        if left <= 0:
            raise BadInputError(self.name(path), None, "it is too large")
        return b"".join(pieces)

    def list(self, path: str) -> list[str]:
        """The names in a folder, sorted; none if it is not there.

        Raises:
            DataFolderError: It cannot be read.
        """
        try:
            fd = self.open_folder(path)
        except DataFolderError as error:
            if error.missing:
                return []
            raise
        try:
            return sorted(os.listdir(fd))  # noqa: PTH208 - of a descriptor
        except OSError as error:
            raise DataFolderError(self.name(path), error) from None
        finally:
            os.close(fd)
