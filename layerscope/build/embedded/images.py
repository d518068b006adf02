"""The images of a build's steps, in the store."""

from __future__ import annotations

from typing import Any

from layerscope.engines.embedded.store import Store
from layerscope.images.reader import ImageReader


class StepImages:
    """Images by id, for measuring their layers; see `recorder.Images`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        #: By id, the number of layers, and the entry in an index.
        self.entries: dict[str, tuple[int, dict[str, Any]]] = {}

    def height(self, image: str) -> int:
        return self.entries[image][0]

    def open(self, image: str) -> ImageReader:
        # Not at the top: the builder need not wait for numpy.
        from layerscope.engines.embedded.contents import open_entry

        files, entry = self.store.files(), self.entries[image][1]
        return open_entry(files, entry, None, f"embedded:{image}", image)
