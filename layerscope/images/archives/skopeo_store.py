"""`dir:`, the folder that `skopeo copy` writes for one image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

from layerscope.errors import BadInputError, closed_on_error
from layerscope.images.archives.blob_store import (
    INDEX,
    MANIFEST,
    BlobStore,
    load_json,
    read_document,
)
from layerscope.oci.byte_source import Buffer, ByteSource
from layerscope.oci.manifest import OCI_INDEX, OCI_MANIFEST


class SkopeoStore:
    """A folder written by `skopeo copy … dir:`, or a tar archive of one, as a layout.

    It holds one image or one index: `manifest.json` is its manifest, those of an index are
    `HEX.manifest.json`, and other blobs are named by their digest, without `sha256`.
    """

    def __init__(self, inner: BlobStore) -> None:
        """Takes ownership of a store; raises BadInputError if it has no manifest."""
        self._inner = inner
        self.file = inner.file
        with closed_on_error(inner.close):
            data = read_document(inner, MANIFEST)
            document = load_json(self.file, MANIFEST, data)
            if not isinstance(document, dict):
                raise BadInputError(self.file, None, f"{MANIFEST} is not the manifest of an image")
        usual = OCI_INDEX if "manifests" in document else OCI_MANIFEST
        self._blob = f"sha256/{hashlib.sha256(data).hexdigest()}"
        self._index = {
            "mediaType": document.get("mediaType") or usual,
            "digest": self._blob.replace("/", ":"),
            "size": len(data),
        }

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        if name == INDEX:
            data = json.dumps({"manifests": [self._index]}).encode()
            yield Buffer(data), len(data), ""
            return
        with self._inner.opened(self._place(name)) as found:
            yield found

    def _place(self, name: str) -> str:
        blob = name.removeprefix("blobs/")
        if blob == self._blob:
            return MANIFEST
        place = blob.removeprefix("sha256/").replace("/", "-")
        manifest = f"{place}.{MANIFEST}"
        return manifest if self._inner.holds(manifest) else place

    def holds(self, name: str) -> bool:
        return name == INDEX or self._inner.holds(self._place(name))

    def close(self) -> None:
        self._inner.close()
