"""Runs whose folders stay, so that what they changed can be looked at, run on and removed.

Such a folder is locked as long as something runs in it. What it changed is read by a worker, in the
namespace that the files belong to, whether something runs or not.
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
_MOST = 64 << 20  # Bytes of such a file; owners of a hundred thousand files are in it.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Seconds for which others may hold the lock: they only look whether something runs.
_PATIENCE, _TICK = 2.0, 0.02


@dataclass(frozen=True, slots=True)
class Changed:
    """What a command changed, as a layer."""

    file: IO[bytes]  # A tar; open until the block ends that it is of.
    size: int  # Bytes of that.
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
        """Whether something was run in it."""
        return (self.path / _FILE).exists()

    @property
    def rung(self) -> Rung | None:
        """What it was run on; None if nothing was run yet."""
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
        """Locks the folder, and makes it if need be; yields the descriptor with the lock.

        Raises SandboxError if something runs in it.
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
        """Notes what reading its changes needs. What was run is not kept: it may be secret."""
        task = msgspec.structs.replace(task, command=(), env={}, save=-1, groups=(), lock=-1)
        write_whole(self.path / _FILE, _Noted(rung.name, rung.overlay, task).dump())

    def _noted(self) -> _Noted:
        noted = read(self.path / _FILE, _Noted, _MOST)
        if noted is None:
            raise LayerscopeError("It has not been run yet, or it was removed.")
        return noted

    @contextmanager
    def changes(self, progress: Progress | None = None) -> Iterator[Changed]:
        """What it has changed so far. Raises LayerscopeError if that cannot be read."""
        with ExitStack() as stack:
            try:
                file = stack.enter_context(tempfile.TemporaryFile(dir=self.path))
            except OSError as error:
                raise LayerscopeError(failure(error, str(self.path))) from None
            result = self._look(file.fileno(), progress)
            yield Changed(file, result.size, result.diff_id)

    def size(self) -> int:
        """Bytes of the files that it wrote."""
        return self._look(-1).size

    def _look(self, save: int, progress: Progress | None = None) -> Result:
        noted = self._noted()
        rung = Rung(noted.rung, noted.overlay)
        task = msgspec.structs.replace(noted.task, save=save, look=True, live=self.running)
        return perform(task, rung.mapping, progress=progress)

    @property
    def version(self) -> object:
        """Changes when something is written, as far as that can be seen from outside."""
        top = self.path / "upper"
        newest = count = 0
        for folder, names, files in os.walk(top if top.is_dir() else self.path / "merged"):
            for name in (".", *names, *files):
                with suppress(OSError):
                    newest = max(newest, os.lstat(os.path.join(folder, name)).st_ctime_ns)  # noqa: PTH118
                count += 1
        return newest, count, self.running

    def remove(self) -> None:
        """Removes it with all that was changed; raises SandboxError if something runs in it."""
        with self.taken():
            remove_folders([self.path], self.rung or Rung(RungName.ROOT, True))
        if self.path.exists():
            raise LayerscopeError(f"{visible(str(self.path))} cannot be removed.")
