"""Runs whose folders stay, so that their changes can be viewed, built on and removed.

A folder is locked while something runs in it. A worker can read its changes at any time, in the
namespace of the files.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.progress import Progress
from layerscope.oci.byte_source import FileRange, opened
from layerscope.records import Record, read
from layerscope.sandbox.folders import remove_folders
from layerscope.sandbox.process import SandboxError, perform
from layerscope.sandbox.rung import Rung, RungName
from layerscope.sandbox.task import Result, Task
from layerscope.text import visible
from layerscope.writing import failure, write_whole

_FILE = "run.json"
_MOST = 64 << 20  # Bytes of such a file; it may list the owners of 100,000 files.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Seconds to wait for others that hold the lock only to check whether something runs.
_PATIENCE, _TICK = 2.0, 0.02


@dataclass(frozen=True, slots=True)
class Changed:
    """The changes of a command, as a layer."""

    file: IO[bytes]  # A tar, open until the end of its block.
    size: int  # Bytes of the tar.
    diff_id: str

    def changeset(self) -> Changeset:
        return read_changeset(FileRange(self.file.fileno(), 0, self.size))


class _Noted(Record, frozen=True):
    rung: RungName
    overlay: bool
    task: Task


class KeptRun:
    """A folder of a run that stays until it is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def ran(self) -> bool:
        """Whether something has run in it."""
        return (self.path / _FILE).exists()

    @property
    def rung(self) -> Rung | None:
        """The rung that it ran on; None if nothing has run yet."""
        noted = read(self.path / _FILE, _Noted, _MOST)
        return None if noted is None else Rung(noted.rung, noted.overlay)

    @property
    def running(self) -> bool:
        try:
            with opened(os.open(self.path, _FOLDER)) as fd:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @contextmanager
    def taken(self) -> Iterator[int]:
        """Locks the folder, and creates it if needed; yields the descriptor with the lock.

        Raises SandboxError if something is running in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self.path, _FOLDER)
        except OSError as error:
            raise LayerscopeError(failure(error, str(self.path))) from None
        with opened(fd):
            until = time.monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise SandboxError("A command is already running in it.") from None
                    time.sleep(_TICK)
            yield fd

    def note(self, rung: Rung, task: Task) -> None:
        """Stores what is needed to read its changes, but not the command, which may be secret."""
        task = msgspec.structs.replace(task, command=(), env={}, save=-1, groups=(), lock=-1)
        write_whole(self.path / _FILE, _Noted(rung.name, rung.overlay, task).dump())

    def _noted(self) -> _Noted:
        noted = read(self.path / _FILE, _Noted, _MOST)
        if noted is None:
            raise LayerscopeError("It has not been run yet, or it was removed.")
        return noted

    @contextmanager
    def changes(self, progress: Progress | None = None) -> Iterator[Changed]:
        """Yields its changes so far. Raises LayerscopeError if they cannot be read."""
        with ExitStack() as stack:
            try:
                file = stack.enter_context(tempfile.TemporaryFile(dir=self.path))
            except OSError as error:
                raise LayerscopeError(failure(error, str(self.path))) from None
            result = self._look(file.fileno(), progress)
            yield Changed(file, result.size, result.diff_id)

    def size(self) -> int:
        """Returns the bytes of the files that it wrote."""
        return self._look(-1).size

    def _look(self, save: int, progress: Progress | None = None) -> Result:
        noted = self._noted()
        rung = Rung(noted.rung, noted.overlay)
        task = msgspec.structs.replace(noted.task, save=save, look=True, live=self.running)
        return perform(task, rung.mapping, progress=progress)

    @property
    def version(self) -> object:
        """Returns a value that changes on writes, as far as they are visible from outside."""
        top = self.path / "upper"
        newest = count = 0
        for folder, names, files in os.walk(top if top.is_dir() else self.path / "merged"):
            for name in (".", *names, *files):
                with suppress(OSError):
                    newest = max(newest, os.lstat(os.path.join(folder, name)).st_ctime_ns)  # noqa: PTH118
                count += 1
        return newest, count, self.running

    def remove(self) -> None:
        """Removes it with its changes; raises SandboxError if something is running in it."""
        with self.taken():
            remove_folders([self.path], self.rung or Rung(RungName.ROOT, True))
        if self.path.exists():
            raise LayerscopeError(f"{visible(str(self.path))} cannot be removed.")
