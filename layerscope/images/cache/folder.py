"""A folder of cached files, each named by the digest of its key, and either complete or absent."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from layerscope.writing import write_whole


class CacheFolder:
    """Cached files; beyond `limit` bytes, the least recently used are removed.

    Files are renamed when complete, so that a reader sees a complete one or none, no matter who
    else writes or which process is killed. A cache that cannot be written is not an error.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit

    def path(self, key: str) -> Path:
        """The file of a key, named by its digest: keys come from images and may hold any bytes."""
        return self._path / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()

    def write(self, key: str, data: bytes) -> None:
        """Writes a file; does nothing if that fails."""
        try:
            write_whole(self.path(key), data)
            self._shrink()
        except OSError:
            return

    def _files(self) -> Iterator[tuple[float, Path, int]]:
        try:
            entries = list(os.scandir(self._path))
        except OSError:
            return
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                # Others are incomplete; `write_whole` handles these.
                if not entry.name.startswith("."):
                    yield status.st_mtime, Path(entry.path), status.st_size

    def _shrink(self) -> None:
        files = sorted(self._files())
        excess = sum(size for _, _, size in files) - self._limit
        for _, path, size in files:
            if excess <= 0:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            excess -= size
