"""Package changes of an image's layers, one layer at a time; for background work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.images.files.contents import Contents
    from layerscope.images.files.packages import Glance, PackageReader

T = TypeVar("T")


class LayerPackages:
    """The package changes of layers, with a cache."""

    def __init__(self, stack: Stack, contents: Contents | None) -> None:
        self.stack = stack
        self._contents = contents
        self._lock = threading.Lock()
        self._reader: PackageReader | None = None
        self._known: dict[int, Glance] = {}

    def known(self, layer: int) -> Glance | None:
        return self._known.get(layer)

    def read(self, layer: int, check: Callable[[], None]) -> Glance:
        """Returns the package changes of a layer; `check` may raise `Cancelled` to stop."""
        with self._lock:
            if layer not in self._known:
                self._known[layer] = self._own_reader().glance(layer, check)
            return self._known[layer]

    def ask(self, question: Callable[[PackageReader], T]) -> T:
        """Calls a function with the package reader, one call at a time."""
        with self._lock:
            return question(self._own_reader())

    def _own_reader(self) -> PackageReader:
        from layerscope.images.files.packages import PackageReader

        if self._reader is None:
            self._reader = PackageReader(self.stack, self._contents)
        return self._reader
