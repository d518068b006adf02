"""The cache: changesets of layers that were read once, under the user's cache folder.

A file for each layer, and one for all layers of an image on top of each other. Files are written
under another name and renamed, so that a reader sees a whole one or none, whoever else writes and
whatever is killed. Reading marks a file as used; when the cache is larger than its bound, what was
used longest ago goes. A cache that cannot be written is no reason to fail.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

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
from layerscope.images.cache_folder import UNFINISHED, path_in, write_whole

_T = TypeVar("_T")

#: Marking a file as used is worth a write no more often than this, in seconds.
_MARK_AFTER = 60.0

#: A temporary file older than this, in seconds, was left by a process that died.
_STALE = 3600.0


def _stack_name(keys: Sequence[str]) -> str:
    return "\0".join(["stack", *keys])


class ChangesetCache:
    """Changesets by key, and stacks of them by their keys.

    A key is a diff_id, or whatever else names one layer's exact content.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        """Makes a cache; nothing is read or written yet.

        Args:
            folder: Where it is; None for the user's.
            limit: Bytes that it may take; 0 switches it off, None takes the setting.
        """
        root = folder if folder is not None else cache_folder()
        self._folder = root / f"changesets-{VERSION}"
        self._limit: int = load().values["cache-limit"] if limit is None else limit

    def get(self, key: str) -> Changeset | None:
        """The changeset of a layer, or None if it is not known."""
        return self._load(key, load_changeset)

    def get_stack(self, keys: Sequence[str]) -> Stack | None:
        """The stack of some layers, by their keys, or None if it is not known."""
        name = _stack_name(keys)
        return self._load(name, lambda data: load_stack(data, name))

    def put_stack(self, keys: Sequence[str], stack: Stack) -> None:
        """Keeps the stack of some layers; does nothing if that is not possible."""
        name = _stack_name(keys)
        self._keep(name, lambda: dump_stack(stack, name))

    def has(self, key: str) -> bool:
        """Whether the changeset of a layer is known."""
        return bool(self._limit) and self._path(key).exists()

    def put(self, key: str, changeset: Changeset) -> None:
        """Keeps the changeset of a layer; does nothing if that is not possible."""
        self._keep(key, lambda: dump_changeset(changeset))

    def size(self) -> int:
        """Bytes that the cache takes."""
        return sum(size for _, _, size in self._files())

    def _load(self, key: str, load: Callable[[bytes], _T]) -> _T | None:
        if not self._limit:
            return None
        path = self._path(key)
        try:
            loaded = load(path.read_bytes())
        except OSError:
            return None
        except ChangesetFileError:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        self._mark(path)
        return loaded

    def _keep(self, key: str, dump: Callable[[], bytes]) -> None:
        path = self._path(key)
        if not self._limit or path.exists():
            return
        try:
            write_whole(path, dump())
            self._shrink()
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return path_in(self._folder, key)

    def _mark(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _MARK_AFTER:
                os.utime(path)

    def _files(self) -> Iterator[tuple[float, Path, int]]:
        """Time of last use, path and size of each file."""
        try:
            entries = list(os.scandir(self._folder))
        except OSError:
            return
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if entry.name.startswith(UNFINISHED):
                if time.time() - status.st_mtime > _STALE:
                    with contextlib.suppress(OSError):
                        Path(entry.path).unlink()
                continue
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
