"""An engine's data folder, opened read only and without following symlinks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from layerscope.errors import BadInputError
from layerscope.filesystem.disk_walk import open_below, open_folder_below
from layerscope.oci.byte_source import opened
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.text import visible


class DataFolderError(BadInputError):
    """Something in a data folder cannot be read."""

    def __init__(self, file: str, error: OSError) -> None:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        hint = "Run as root." if denied else ""
        super().__init__(file, None, f"it cannot be read ({error.strerror})", hint)
        self.missing = error.errno == errno.ENOENT


class DataFolder:
    """An open folder; methods raise DataFolderError for anything that cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # The folder itself may be a symlink: the user named it.
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DataFolderError(visible(str(path)), error) from None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def name(self, path: str) -> str:
        return visible(str(self.path / path))

    def bad(self, problem: str, path: str = "", hint: str = "") -> BadInputError:
        return BadInputError(self.name(path), None, problem, hint)

    def open_file(self, path: str) -> int:
        try:
            return open_below(self._fd, os.fsencode(path))
        except OSError as error:
            raise DataFolderError(self.name(path), error) from None

    def open_folder(self, path: str) -> int:
        try:
            return open_folder_below(self._fd, path.split("/"))
        except OSError as error:
            raise DataFolderError(self.name(path), error) from None

    def read(self, path: str, limit: int = MAX_DOCUMENT) -> bytes:
        """The content of a small file.

        Raises BadInputError if it cannot be read or is larger than the limit.
        """
        with os.fdopen(self.open_file(path), "rb") as file:
            try:
                data = file.read(limit + 1)
            except OSError as error:
                raise DataFolderError(self.name(path), error) from None
        if len(data) > limit:
            raise self.bad("it is too large", path)
        return data

    def read_if_there(self, path: str, limit: int = MAX_DOCUMENT) -> bytes | None:
        """The same, or None if there is no such file."""
        try:
            return self.read(path, limit)
        except DataFolderError as error:
            if error.missing:
                return None
            raise

    def list(self, path: str) -> list[str]:
        """The names in a folder, sorted; empty if it does not exist."""
        try:
            with opened(self.open_folder(path)) as fd:
                return sorted(os.listdir(fd))  # noqa: PTH208 - of a descriptor
        except DataFolderError as error:
            if error.missing:
                return []
            raise
        except OSError as error:
            raise DataFolderError(self.name(path), error) from None
