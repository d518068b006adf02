"""The images of a build's steps, as they are in the store."""

from __future__ import annotations

from typing import Any

from layerscope.engines.embedded.store import Store
from layerscope.images.reader import ImageReader


class StepImages:
    """Images by id, for measuring their layers; see `recorder.Images`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        #: For each, its number of layers, and what an index says of it.
        self.entries: dict[str, tuple[int, dict[str, Any]]] = {}

    def height(self, image: str) -> int:
        return self.entries[image][0]

    def open(self, image: str) -> ImageReader:
        # Not at the top: it imports numpy, which the builder need not wait for.
        from layerscope.engines.embedded.contents import open_entry

        files, entry = self.store.files(), self.entries[image][1]
        return open_entry(files, entry, None, f"embedded:{image}", image)
