"""A record of blobs: the repositories that have them, and the compressed form of layers.

Both save work and are never trusted: the registry must confirm that it has a blob.
"""

from __future__ import annotations

from layerscope.bounded import read_file
from layerscope.config import cache_folder
from layerscope.images.cache.folder import CacheFolder
from layerscope.oci.compression import GZIP_LIBRARY
from layerscope.oci.distribution import is_digest

_LIMIT = 8 << 20  # Bytes of all records.
_MOST_PLACES = 5
_LONGEST = 4096


class KnownBlobs:
    def __init__(self) -> None:
        self._folder = CacheFolder(cache_folder() / "known-blobs-1", _LIMIT)

    def repositories(self, domain: str, digest: str) -> list[str]:
        """Repositories of a registry that had a blob, the latest first."""
        return self._read(f"at {domain} {digest}").split()[:_MOST_PLACES]

    def seen(self, domain: str, repository: str, digest: str) -> None:
        others = [each for each in self.repositories(domain, digest) if each != repository]
        self._write(f"at {domain} {digest}", " ".join([repository, *others][:_MOST_PLACES]))

    def compressed(self, diff_id: str) -> tuple[str, int] | None:
        """The digest and size of a layer when layerscope compressed it."""
        digest, _, size = self._read(f"gzip {GZIP_LIBRARY} {diff_id}").partition(" ")
        return (digest, int(size)) if is_digest(digest) and size.isdecimal() else None

    def compresses_to(self, diff_id: str, digest: str, size: int) -> None:
        self._write(f"gzip {GZIP_LIBRARY} {diff_id}", f"{digest} {size}")

    def _read(self, key: str) -> str:
        try:
            return read_file(self._folder.path(key), _LONGEST).decode("ascii", "replace")
        except OSError:
            return ""

    def _write(self, key: str, text: str) -> None:
        if self._read(key) != text:
            self._folder.write(key, text.encode())
