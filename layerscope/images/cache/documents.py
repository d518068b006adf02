"""Manifests and configurations from registries, in the user's cache folder.

Registries that limit pulls count each fetched manifest, but not looking up the digest of a tag.
With that digest and the cached manifest, an image can be reopened without counting as a pull.
Documents are verified when they are read.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.config import cache_folder
from layerscope.images.cache.folder import CacheFolder
from layerscope.oci.distribution import is_digest
from layerscope.oci.manifest import MAX_DOCUMENT

#: The documents' maximum size in bytes: thousands of images.
_LIMIT = 32 << 20


class DocumentCache:
    """Documents by digest, and the last known digest of each reference.

    They are in a folder, by default the user's, and take at most `limit` bytes.
    """

    def __init__(self, folder: Path | None = None, limit: int = _LIMIT) -> None:
        root = folder if folder is not None else cache_folder()
        self._folder = CacheFolder(root / "documents-1", limit)

    def get(self, digest: str) -> bytes | None:
        data = self._read(digest)
        if data is None or not is_digest(digest):
            return None
        algorithm, _, value = digest.partition(":")
        return data if hashlib.new(algorithm, data).hexdigest() == value else None

    def put(self, digest: str, data: bytes) -> None:
        if self._read(digest) is None:
            self._folder.write(digest, data)

    def last_digest(self, reference: str) -> str | None:
        """The digest that a reference had when it was last looked up, or None."""
        data = self._read(f"ref {reference}")
        digest = "" if data is None else data.decode("ascii", "replace")
        return digest if is_digest(digest) else None

    def note(self, reference: str, digest: str) -> None:
        self._folder.write(f"ref {reference}", digest.encode())

    def _read(self, key: str) -> bytes | None:
        try:
            return read_file(self._folder.path(key), MAX_DOCUMENT)
        except OSError:
            return None
