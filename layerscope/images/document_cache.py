"""Manifests and configurations that a registry has sent, kept under the user's cache folder.

Registries that limit pulls count each manifest that is fetched, but not the question which one a
tag means now. With the answer to that, and the document of that digest kept, an image is opened
again without a pull being counted. Documents are kept by digest, and verified when they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from layerscope.config import cache_folder
from layerscope.images.cache_folder import path_in, write_whole
from layerscope.oci.distribution import is_digest
from layerscope.oci.manifest import MAX_DOCUMENT

#: Bytes that the documents may take: thousands of images.
_LIMIT = 32 << 20


class DocumentCache:
    """Documents by digest, and the digest that each reference had last."""

    def __init__(self, folder: Path | None = None, limit: int = _LIMIT) -> None:
        """Makes a cache; nothing is read or written yet.

        Args:
            folder: Where it is; None for the user's.
            limit: Bytes that it may take.
        """
        self._folder = (folder if folder is not None else cache_folder()) / "documents-1"
        self._limit = limit

    def get(self, digest: str) -> bytes | None:
        """The document of a digest, or None."""
        data = self._read(digest)
        if data is None or not is_digest(digest):
            return None
        algorithm, _, value = digest.partition(":")
        if hashlib.new(algorithm, data).hexdigest() != value:
            return None
        return data

    def put(self, digest: str, data: bytes) -> None:
        """Keeps a document; does nothing if that is not possible."""
        if self._read(digest) is None:
            self._write(digest, data)

    def last_digest(self, reference: str) -> str | None:
        """The digest that a reference had when it was last looked up, or None."""
        data = self._read(f"ref {reference}")
        digest = "" if data is None else data.decode("ascii", "replace")
        return digest if is_digest(digest) else None

    def note(self, reference: str, digest: str) -> None:
        """Keeps the digest of a reference."""
        self._write(f"ref {reference}", digest.encode())

    def _path(self, key: str) -> Path:
        return path_in(self._folder, key)

    def _read(self, key: str) -> bytes | None:
        try:
            with self._path(key).open("rb") as file:
                data = file.read(MAX_DOCUMENT + 1)
        except OSError:
            return None
        return data if len(data) <= MAX_DOCUMENT else None

    def _write(self, key: str, data: bytes) -> None:
        try:
            write_whole(self._path(key), data)
            self._shrink()
        except OSError:
            return

    def _shrink(self) -> None:
        """Removes the oldest files, what a killed process left of one included."""
        files = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                files.append((status.st_mtime, entry.path, status.st_size))
        excess = sum(size for _, _, size in files) - self._limit
        for _, path, size in sorted(files):
            if excess <= 0:
                return
            with contextlib.suppress(OSError):
                Path(path).unlink()
            excess -= size
