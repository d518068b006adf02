"""Records of images that have been measured, in the user's cache folder.

They are small: hundreds are read while a list is drawn. That is also why this module does not
import numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from layerscope.config import cache_folder, load
from layerscope.images.cache.folder import CacheFolder
from layerscope.images.sizes import ImageSizes
from layerscope.records import Record, read

#: Their maximum size in bytes: tens of thousands of images.
_LIMIT = 8 << 20

RecordT = TypeVar("RecordT", bound=Record)


class RecordCache(Generic[RecordT]):
    """Records by the diff_ids of an image's layers, base first."""

    def __init__(self, name: str, record: type[RecordT]) -> None:
        self._folder, self._record = CacheFolder(cache_folder() / name, _LIMIT), record
        #: Whether anything is stored: the setting for all caches.
        self.kept = bool(load().values["cache-limit"])

    def get(self, diff_ids: Sequence[str]) -> RecordT | None:
        return read(self._folder.path(_key(diff_ids)), self._record) if self.kept else None

    def put(self, diff_ids: Sequence[str], record: RecordT) -> None:
        if self.kept and self.get(diff_ids) is None:
            self._folder.write(_key(diff_ids), record.dump())


class SizesCache(RecordCache[ImageSizes]):
    """Sizes of images."""

    def __init__(self) -> None:
        super().__init__("sizes-1", ImageSizes)


def _key(diff_ids: Sequence[str]) -> str:
    return "\0".join(diff_ids)
