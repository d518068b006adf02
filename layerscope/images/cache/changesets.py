"""The cache of layers' changesets in the user's cache folder.

It has a file for each layer, and one for each stack of an image's layers.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from layerscope.bounded import read_file
from layerscope.config import cache_folder, load
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.changeset_file import (
    VERSION,
    ChangesetFileError,
    dump_changeset,
    load_changeset,
)
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.stack_file import dump_stack, load_stack
from layerscope.images.cache.folder import CacheFolder

_T = TypeVar("_T")

#: The least seconds between two writes that mark a file as used.
_MARK_AFTER = 60.0


def _stack_name(keys: Sequence[str]) -> str:
    return "\0".join(["stack", *keys])


class ChangesetCache:
    """Changesets by key, and stacks of them by their keys.

    A key is a diff_id, or another string that identifies a layer's exact content.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        """Creates a cache; nothing is read or written yet.

        `folder` is the cache folder; None for the user's. `limit` is its maximum size in bytes; 0
        disables it, None uses the setting.
        """
        root = folder if folder is not None else cache_folder()
        self._limit: int = load().values["cache-limit"] if limit is None else limit
        self._folder = CacheFolder(root / f"changesets-{VERSION}", self._limit)

    def get(self, key: str) -> Changeset | None:
        """The changeset of a layer, or None if it is not cached."""
        return self._load(key, load_changeset)

    def get_stack(self, keys: Sequence[str]) -> Stack | None:
        """The stack of some layers, by their keys, or None if it is not cached."""
        name = _stack_name(keys)
        return self._load(name, lambda data: load_stack(data, name))

    def known_stack(self, keys: Sequence[str]) -> Stack | None:
        """The stack of some layers, built from cached ones if need be; None if some are missing."""
        stack = self.get_stack(keys)
        if stack is None and all(map(self.has, keys)):
            changesets = [changeset for key in keys if (changeset := self.get(key)) is not None]
            stack = Stack(changesets) if len(changesets) == len(keys) else None
        return stack

    def put(self, key: str, changeset: Changeset) -> None:
        self._keep(key, lambda: dump_changeset(changeset))

    def put_stack(self, keys: Sequence[str], stack: Stack) -> None:
        name = _stack_name(keys)
        self._keep(name, lambda: dump_stack(stack, name))

    def has(self, key: str) -> bool:
        return bool(self._limit) and os.path.lexists(self._folder.path(key))

    def _load(self, key: str, load: Callable[[bytes], _T]) -> _T | None:
        if not self._limit:
            return None
        path = self._folder.path(key)
        try:
            loaded = load(read_file(path, self._limit))
        except OSError:
            return None
        except ChangesetFileError:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _MARK_AFTER:
                os.utime(path)
        return loaded

    def _keep(self, key: str, dump: Callable[[], bytes]) -> None:
        if self._limit and not self.has(key):
            self._folder.write(key, dump())
