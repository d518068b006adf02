"""Files that are complete or absent, and temporary folders that do not outlive programs for long.

A new file has no name until it is complete, so that no one mistakes a partial file for it. Linux
offers unnamed files (O_TMPFILE), which disappear however the program ends. On file systems without
them, and for temporary folders, a lock shows that a living process still needs them; the next
process that writes there removes the rest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import LayerscopeError
from layerscope.text import docker_size, visible

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNNAMED: int = getattr(os, "O_TMPFILE", 0)

#: The errors of a full disk.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: The errors of a file system without hard links.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

_STRIDE = 32 << 20  # Bytes of a large file that are flushed together.

_PART = re.compile(r"\.layerscope-[0-9a-f]{12}\.part")  # The name of an incomplete file.
_FOLDERS = "layerscope-tmp-"  # The prefix of temporary folders.
_TEMPORARY = re.compile(_FOLDERS + "[a-z0-9_]{8}")


@dataclass(frozen=True, slots=True)
class Existing:
    """The identity of an existing file, to recognise it later."""

    inode: tuple[int, int]
    size: int
    modified: int  # In nanoseconds since 1970.
    link: bool  # Whether it is a symlink, which is not followed.
    special: bool  # Whether it is a device, a pipe or a socket.

    @classmethod
    def of(cls, status: os.stat_result) -> Existing:
        inode = status.st_dev, status.st_ino
        link = stat.S_ISLNK(status.st_mode)
        special = not (link or stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))
        return cls(inode, status.st_size, status.st_mtime_ns, link, special)


def existing(path: Path | bytes, *, folder: int | None = None) -> Existing | None:
    """The identity of the file at a path; None if it does not exist or cannot be read."""
    try:
        return Existing.of(os.stat(path, dir_fd=folder, follow_symlinks=False))
    except OSError:
        return None


@contextmanager
def whole_file(
    path: Path | bytes,
    *,
    folder: int | None = None,
    mode: int = 0o600,
    replace: Existing | bool = False,
) -> Iterator[int]:
    """Creates a file that gets its name when the block ends, unless the block raises.

    With the descriptor of a `folder`, the path is a name in it. `replace` allows replacing an
    existing file: any file if true, or only the given one; folders are never replaced, and
    symlinks not followed. Yields the file's descriptor. Raises OSError if it cannot be created;
    FileExistsError if the name is taken.
    """
    head, name = os.path.split(os.fsencode(path))
    own = os.open(head or b".", _FOLDER) if folder is None else os.dup(folder)
    try:
        with new_file(own, mode) as file:
            yield file.fd
            file.give_name(name, replace=replace)
    finally:
        os.close(own)


@dataclass(slots=True)
class NewFile:
    """A file in an open folder that has no name yet."""

    fd: int
    _folder: int
    _part: bytes  # Its name until it is complete; empty if it needs none.

    def give_name(
        self, name: bytes, *, replace: Existing | bool = False, durable: bool = False
    ) -> None:
        """See `whole_file`; if `durable`, the file is then on disk, even if the power fails."""
        if durable:
            os.fsync(self.fd)
        self._part = _give_name(self._folder, self.fd, self._part, name, replace=replace)
        if durable:
            os.fsync(self._folder)

    def drop(self) -> None:
        os.close(self.fd)
        if self._part:
            with contextlib.suppress(OSError):
                os.unlink(self._part, dir_fd=self._folder)


@contextmanager
def new_file(folder: int, mode: int = 0o600) -> Iterator[NewFile]:
    """Creates a file in an open folder, which disappears unless it is given a name."""
    fd, part = _open_part(folder, mode)
    file = NewFile(fd, folder, part)
    try:
        yield file
    finally:
        file.drop()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Creates a folder that gets its name when the block ends, unless the block raises.

    Yields its temporary path, next to the final one. Raises OSError if it cannot be created or
    anything but an empty folder has its name.
    """
    import shutil

    above = os.open(path.absolute().parent, _FOLDER)
    try:
        part = path.absolute().parent / os.fsdecode(_part_name(above))
        part.mkdir()
        lock = os.open(part, _FOLDER)
        try:
            _lock(lock)
            yield part
            part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            os.close(lock)
    finally:
        os.close(above)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file completely or not at all, replacing any other; creates its folder if needed.

    Raises OSError on failure; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with whole_file(path, replace=True) as fd:
        write_all(fd, data)


def write_all(fd: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class WriteBehind:
    """Writes a large file so that its bytes are flushed while more arrive.

    They do not stay in the system's cache, which would fill up: the program would stop until the
    disk has caught up, and other programs would lose their cached data. Small files stay.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = 0  # Bytes written so far.
        self._begun = 0

    def write(self, data: bytes | bytearray) -> None:
        write_all(self._fd, data)
        self.size += len(data)
        if self.size - self._begun >= _STRIDE and hasattr(os, "posix_fadvise"):
            self._begun = self.size
            # Starts to flush new bytes, and drops flushed ones from the cache.
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._fd, 0, self.size, os.POSIX_FADV_DONTNEED)


def _open_part(folder: int, mode: int) -> tuple[int, bytes]:
    """A new file, and its name; an empty name if it has none yet."""
    if _UNNAMED and os.access("/proc/self/fd", os.X_OK):
        try:
            return os.open(".", os.O_RDWR | _UNNAMED | os.O_CLOEXEC, mode, dir_fd=folder), b""
        except OSError as error:
            # The errors of kernels and file systems without such files.
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
    part = _part_name(folder)
    fd = os.open(part, _NEW, mode, dir_fd=folder)
    _lock(fd)
    return fd, part


def _give_name(
    folder: int, fd: int, part: bytes, name: bytes, *, replace: Existing | bool
) -> bytes:
    """Gives a file its name; returns the old name to remove, or an empty one."""
    if isinstance(replace, Existing) and existing(name, folder=folder) != replace:
        # Only if the old file is gone can the new one be created without a question.
        replace = False
    if not replace:
        try:
            if part:
                os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            else:
                os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder)
        except OSError as error:
            if not part or error.errno not in NO_LINKS:
                raise
            # Another process may have made the file meanwhile; then it is replaced.
            os.close(os.open(name, _NEW, 0o600, dir_fd=folder))
        else:
            return part
    if not part:
        _lock(fd)
        part = _part_name(folder)
        os.link(f"/proc/self/fd/{fd}", part, dst_dir_fd=folder)
    try:
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
    return b""


def _part_name(folder: int) -> bytes:
    """A name for an incomplete file; removes those left by killed processes."""
    for name in os.listdir(folder):
        if _PART.fullmatch(name):
            with contextlib.suppress(OSError), _dead(name, folder, os.O_RDONLY) as fd:
                _remove(name, folder, fd)
    return f".layerscope-{os.urandom(6).hex()}.part".encode()


def _remove(name: str | bytes, folder: int, fd: int) -> None:
    """Removes an incomplete file or folder, which is open."""
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    import shutil

    shutil.rmtree(name, ignore_errors=True, dir_fd=folder)


@contextmanager
def _dead(name: str | bytes, folder: int | None, flags: int) -> Iterator[int]:
    """Opens a left-over of this user; raises OSError if it is not one or still in use."""
    fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it is another user's")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    # Not every file system has locks.
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


@contextmanager
def temporary_folder(above: Path | None = None) -> Iterator[Path]:
    """A folder that only this user can read, removed when the block ends; raises OSError.

    It is created in `above`, by default the host's folder for temporary files.
    """
    # Imported here: most commands need no folder, and these imports are slow.
    import shutil
    import tempfile

    if above is not None:
        above.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_dead_folders(above)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_FOLDERS, dir=above))
        lock = os.open(folder, _FOLDER)
        _lock(lock)
        # Another process may have removed it before it was locked.
        if os.fstat(lock).st_nlink:
            break
        os.close(lock)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_dead_folders(above: Path | None = None) -> None:
    """Removes the temporary folders left by this user's killed processes."""
    import shutil
    import tempfile

    above = above or Path(tempfile.gettempdir())
    with contextlib.suppress(OSError), os.scandir(above) as entries:
        names = [entry.name for entry in entries if _TEMPORARY.fullmatch(entry.name)]
        for name in names:
            path = Path(above, name)
            with contextlib.suppress(OSError), _dead(str(path), None, _FOLDER) as fd:
                if stat.S_IMODE(os.fstat(fd).st_mode) == 0o700:
                    shutil.rmtree(path, ignore_errors=True)


def check_space(folder: int, needed: int, name: str, hint: str) -> None:
    """Raises LayerscopeError if an open folder, whose name must be safe to show, lacks space."""
    status = os.fstatvfs(folder)
    blocks = status.f_bavail if os.geteuid() else status.f_bfree
    free = blocks * status.f_frsize
    # Some network file systems do not report their size.
    if status.f_blocks and needed > free:
        raise LayerscopeError(
            f"{name} has {docker_size(free)} of free space, but {docker_size(needed)} are needed.",
            hint,
        )


def failure(error: OSError, name: str) -> str:
    """A sentence that explains why something cannot be written."""
    if error.errno in FULL:
        return f"{visible(name)} cannot be written: the disk is full."
    return f"{visible(name)} cannot be written ({error.strerror or type(error).__name__})."
