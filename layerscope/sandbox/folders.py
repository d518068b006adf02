"""The folders of a sandbox: unpacked layers, by diff_id, and one for each run.

Each run's process locks its folder. The next run removes the folders of killed processes, and
layers not used for some days.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from layerscope.errors import LayerscopeError
from layerscope.oci.byte_source import opened
from layerscope.sandbox.process import perform
from layerscope.sandbox.removing import remove_tree
from layerscope.sandbox.rung import Rung
from layerscope.sandbox.task import Task, Way
from layerscope.writing import failure

_RUN = "run-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_UNUSED = 7 * 24 * 3600  # Seconds after which an unpacked layer is removed.


def remove_folders(folders: Sequence[Path], rung: Rung) -> None:
    """Removes folders, in a namespace if they contain files with its ids."""
    for folder in folders:
        remove_tree(folder)
    left = tuple(str(folder) for folder in folders if folder.exists())
    if left and rung.user_namespace:
        own, one = rung.user_namespace, rung.one_id
        task = Task(Way.NAMESPACES, "", user_namespace=own, one_id=one, remove=left)
        with suppress(LayerscopeError):
            perform(task, rung.mapping)


class RunFolder:
    """The folder of a run, removed at the end of the block."""

    def __init__(self, folder: Path, rung: Rung) -> None:
        self._rung = rung
        self._above = folder / rung.form
        self._held = ExitStack()
        try:
            while not self._made():
                pass  # Another process has removed the empty folder.
        except OSError as error:
            self._held.close()
            raise LayerscopeError(failure(error, str(folder))) from None

    def _made(self) -> bool:
        self._above.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            remove_folders(list(self._dead()), self._rung)
            self.path = Path(tempfile.mkdtemp(prefix=_RUN, dir=self._above))
        except FileNotFoundError:
            return False
        return self.lock(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        remove_folders([self.path], self._rung)
        self._held.close()

    def layer(self, key: str) -> Path:
        """Returns the folder of an unpacked layer."""
        return self._above / key

    def lock(self, path: Path) -> bool:
        """Protects a folder from removal while this object exists; False if it is gone."""
        try:
            fd = os.open(path, _FOLDER)
            self._held.callback(os.close, fd)
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return path.stat().st_ino == os.fstat(fd).st_ino
        except FileNotFoundError:
            return False

    def _dead(self) -> Iterator[Path]:
        """Yields unneeded folders: those of dead processes, and layers not used for long."""
        for path in list(self._above.iterdir()):
            with suppress(OSError), opened(os.open(path, _FOLDER)) as fd:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.name.startswith(_RUN):
                    yield path
                elif path.stat().st_mtime < time.time() - _UNUSED:
                    gone = path.with_name(f"{_RUN}{path.name[:12]}-{os.urandom(4).hex()}")
                    path.rename(gone)
                    yield gone
