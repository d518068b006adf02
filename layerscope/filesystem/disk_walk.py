"""Walks a folder on disk with as little work for each entry as Python allows.

An object for each status and a path for each call would cost several times what the kernel takes.
So statx(2) writes its answers next to each other into one buffer that numpy then reads as columns,
and names are looked up in their folder's own descriptor. That is also what makes the walk safe: no
path is resolved that somebody could lead elsewhere by a symlink meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

Status = npt.NDArray[Any]

# The parts of `struct statx` (linux/stat.h, the same on all architectures) that are kept.
_FIELDS = {
    "nlink": ("=u4", 16),
    "uid": ("=u4", 20),
    "gid": ("=u4", 24),
    "mode": ("=u2", 28),
    "ino": ("=u8", 32),
    "size": ("=i8", 40),
    "mtime": ("=i8", 112),
    "rdev_major": ("=u4", 128),
    "rdev_minor": ("=u4", 132),
}
_STATX_SIZE = 256
_STATX = np.dtype(
    {
        "names": list(_FIELDS),
        "formats": [form for form, _ in _FIELDS.values()],
        "offsets": [offset for _, offset in _FIELDS.values()],
        "itemsize": _STATX_SIZE,
    }
)
_KEPT = np.dtype([(name, form) for name, (form, _) in _FIELDS.items()])
_STATX_BASIC = 0x7FF
_NOFOLLOW_NO_AUTOMOUNT = 0x900
_CLONE_FS = 0x200

#: As many answers as a second-level cache holds; they are packed before the buffer is used again.
_BUFFER = 1024

#: Levels that are open at once, a descriptor each. Processes may usually open 1,024 files, and no
#: path that a program can name whole has more than 2,048 components.
MAX_DEPTH = 900


class WalkError(OSError):
    """Something in a folder that cannot be read.

    Attributes:
        path: Where, relative to the folder.
    """

    def __init__(self, path: bytes, number: int | None, problem: str = "") -> None:
        super().__init__(number or errno.EIO, problem or os.strerror(number or errno.EIO))
        self.path = path


@dataclass(slots=True)
class Found:
    """What a walk has found: each folder followed by all that is below it, names sorted by bytes.

    Attributes:
        paths: Paths relative to where the walk began, which is not among them itself.
        status: A structured array: nlink, uid, gid, mode, ino, size, mtime, rdev_major, rdev_minor.
        links: Targets of symlinks by row.
        xattrs: Extended attributes of files and folders by row; those of the top have the row -1.
    """

    paths: list[bytes]
    status: Status
    links: dict[int, bytes]
    xattrs: dict[int, dict[bytes, bytes]]


def open_folder(name: bytes | str, folder: int | None = None) -> int:
    """Opens a folder, not through a symlink, leaving its access time alone where that is allowed.

    Raises:
        OSError: It is none, or it cannot be opened.
    """
    return _open_quietly(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, folder)


def open_file(name: bytes | str, folder: int | None = None) -> int:
    """Opens a regular file, likewise.

    Raises:
        OSError: It is none, or it cannot be opened.
    """
    # O_NONBLOCK: somebody may have put a fifo there, on which open(2) would wait.
    fd = _open_quietly(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file")
    return fd


def _open_quietly(name: bytes | str, flags: int, folder: int | None) -> int:
    try:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        # Only the owner of a file and root may ask for that.
        return os.open(name, flags | os.O_CLOEXEC, dir_fd=folder)


def open_below(top: int, path: bytes) -> int:
    """Opens a regular file below a folder, with no symlink on the way to it.

    Raises:
        OSError: It is not there, or not a regular file.
    """
    *parents, name = path.split(b"/")
    folder = os.dup(top)
    try:
        for parent in parents:
            inner = open_folder(parent, folder)
            os.close(folder)
            folder = inner
        return open_file(name, folder)
    finally:
        os.close(folder)


def walk(
    top: int,
    wanted: Callable[[bytes], bool],
    *,
    live: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Found:
    """Walks a folder.

    Args:
        top: The folder, open; it stays so.
        wanted: Whether an extended attribute of that name is to be read.
        live: Whether entries may come and go meanwhile; otherwise one that goes is an error.
        advance: Told now and then how many entries have been found; may raise to stop the walk.

    Raises:
        WalkError: Something cannot be read.
    """
    results: list[Found] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(_Walk(wanted, live, advance).run(top))
        except BaseException as error:
            errors.append(error)

    # A thread of its own can have a current folder of its own.
    thread = threading.Thread(target=run, name="walk")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


# PyDLL keeps the interpreter lock, as calls this short should; and arguments that are given as
# objects of the right type cost less than a declaration by which each of them is converted.
_libc = ctypes.PyDLL(None, use_errno=True)
_statx: Any = getattr(_libc, "statx", None)
_llistxattr: Any = getattr(_libc, "llistxattr", None)
_unshare: Any = getattr(_libc, "unshare", None)
if _llistxattr is not None:
    _llistxattr.restype = ctypes.c_ssize_t
_NO_BYTES = ctypes.c_size_t(0)
_FLAGS = ctypes.c_int(_NOFOLLOW_NO_AUTOMOUNT)
_MASK = ctypes.c_uint(_STATX_BASIC)


@dataclass(slots=True)
class _Level:
    """A folder on the way down.

    Attributes:
        fd: Its descriptor.
        prefix: Its path, with a slash unless it is the top.
        names: What it holds, sorted.
        base: Row of the first of them.
        folders: Which of them are folders, the last one first.
        done: How many of them have been put in order.
    """

    fd: int
    prefix: bytes
    names: list[bytes]
    base: int
    folders: list[int]
    done: int = 0


class _Walk:
    def __init__(
        self,
        wanted: Callable[[bytes], bool],
        live: bool,
        advance: Callable[[int], None] | None,
    ) -> None:
        self._wanted = wanted
        self._live = live
        self._advance = advance
        self._paths: list[bytes] = []
        self._order: list[int] = []
        self._packed: list[Status] = []
        self._make_buffer(_BUFFER)
        self._rows = 0
        self._links: dict[int, bytes] = {}
        self._xattrs: dict[int, dict[bytes, bytes]] = {}
        # A thread that shares its current folder with no other may change it, and bare names are
        # the fastest paths that there are. Where that is forbidden, /proc leads to the same files.
        self._moves = _unshare is not None and _unshare(_CLONE_FS) == 0

    def _make_buffer(self, size: int) -> None:
        self._buffer = np.zeros(size, _STATX)
        address = self._buffer.ctypes.data
        self._slots = [ctypes.c_void_p(address + i * _STATX_SIZE) for i in range(size)]
        self._filled = 0

    def run(self, top: int) -> Found:
        if _statx is None or _llistxattr is None:
            raise WalkError(b"", errno.ENOSYS)
        levels: list[_Level] = []
        try:
            levels.append(self._enter(os.dup(top), b"", -1))
            while levels:
                level = levels[-1]
                if not level.folders:
                    self._put(level, len(level.names))
                    os.close(level.fd)
                    levels.pop()
                    continue
                index = level.folders.pop()
                self._put(level, index + 1)
                path = level.prefix + level.names[index]
                if len(levels) >= MAX_DEPTH:
                    raise WalkError(path, errno.ELOOP, "folders are nested too deeply")
                try:
                    fd = open_folder(level.names[index], level.fd)
                except OSError as error:
                    if self._live and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                        continue
                    raise WalkError(path, error.errno) from None
                levels.append(self._enter(fd, path + b"/", level.base + index))
        finally:
            for level in levels:
                os.close(level.fd)
        return self._found()

    def _put(self, level: _Level, end: int) -> None:
        """Puts a level's entries in order, up to a folder that is gone into next."""
        prefix, start = level.prefix, level.done
        names = level.names[start:end] if start or end < len(level.names) else level.names
        self._paths += [prefix + name for name in names] if prefix else names
        self._order += range(level.base + start, level.base + end)
        level.done = end

    def _found(self) -> Found:
        self._pack()
        status = np.concatenate([*self._packed, np.zeros(0, _KEPT)])
        order = np.array(self._order, np.int64)
        links, xattrs = self._links, self._xattrs
        if links or xattrs:
            place = np.empty(len(order) + 1, np.int64)
            place[order] = np.arange(len(order))
            place[-1] = -1
            to = place.tolist()
            links = {to[row]: target for row, target in links.items()}
            xattrs = {to[row]: values for row, values in xattrs.items()}
        return Found(self._paths, status[order], links, xattrs)

    def _enter(self, fd: int, prefix: bytes, row: int) -> _Level:
        """Reads what a folder holds, and what is to be known of it and of its files."""
        try:
            return self._read(fd, prefix, row)
        except WalkError:
            os.close(fd)
            raise
        except OSError as error:
            os.close(fd)
            raise WalkError(prefix, error.errno) from None
        except BaseException:
            os.close(fd)
            raise

    def _read(self, fd: int, prefix: bytes, row: int) -> _Level:
        if self._moves:
            os.fchdir(fd)
            here, prefix_here = b".", b""
        else:
            here = b"/proc/self/fd/%d" % fd
            prefix_here = here + b"/"
        self._read_xattrs(row, here + b"/.")
        base = self._rows
        names = sorted(os.listdir(here))  # noqa: PTH208 - bytes, and of a descriptor
        names, modes = self._stat(fd, prefix, names)
        self._rows += len(names)
        folders: list[int] = []
        files = names
        if modes.count(stat.S_IFREG) < len(modes):
            folders = [index for index, kind in enumerate(modes) if kind == stat.S_IFDIR]
            files = [n for n, kind in zip(names, modes, strict=True) if kind == stat.S_IFREG]
            for index, kind in enumerate(modes):
                if kind == stat.S_IFLNK:
                    self._links[base + index] = self._target(fd, names[index])
            folders.reverse()
        if files:
            paths = files if self._moves else [prefix_here + name for name in files]
            lengths = list(map(_llistxattr, paths, repeat(None), repeat(_NO_BYTES)))
            if max(lengths) > 0:
                for name, path, length in zip(files, paths, lengths, strict=True):
                    if length > 0:
                        self._read_xattrs(base + names.index(name), path)
        if self._advance is not None:
            self._advance(self._rows)
        return _Level(fd, prefix, names, base, folders)

    def _target(self, fd: int, name: bytes) -> bytes:
        try:
            return os.readlink(name, dir_fd=fd)
        except OSError as error:
            if self._live and error.errno in (errno.ENOENT, errno.EINVAL):
                return b""
            raise

    def _stat(self, fd: int, prefix: bytes, names: list[bytes]) -> tuple[list[bytes], list[int]]:
        """Puts the status of names into the buffer; returns those that are there, and formats."""
        if self._filled + len(names) > len(self._buffer):
            self._pack()
            if len(names) > len(self._buffer):
                self._make_buffer(len(names))
        start = self._filled
        folder = ctypes.c_int(fd)
        slots = self._slots[start : start + len(names)]
        if any(map(_statx, repeat(folder), names, repeat(_FLAGS), repeat(_MASK), slots)):
            names = self._stat_slowly(folder, prefix, names, slots)
        self._filled = start + len(names)
        formats: list[int] = (self._buffer["mode"][start : self._filled] & 0o170000).tolist()
        return names, formats

    def _stat_slowly(
        self, folder: ctypes.c_int, prefix: bytes, names: list[bytes], slots: list[ctypes.c_void_p]
    ) -> list[bytes]:
        """The same where something has failed: leaves out what has gone, if that may be."""
        there: list[bytes] = []
        for name in names:
            if not _statx(folder, name, _FLAGS, _MASK, slots[len(there)]):
                there.append(name)
                continue
            number = ctypes.get_errno()
            if not self._live or number != errno.ENOENT:
                raise WalkError(prefix + name, number)
        return there

    def _pack(self) -> None:
        if self._filled:
            self._packed.append(self._buffer[: self._filled].astype(_KEPT))
            self._filled = 0

    def _read_xattrs(self, row: int, path: bytes) -> None:
        values = {}
        try:
            for text in os.listxattr(path, follow_symlinks=False):
                name = os.fsencode(text)
                if self._wanted(name):
                    values[name] = os.getxattr(path, name, follow_symlinks=False)
        except OSError as error:
            # A file system without them; or one that was there a moment ago.
            if error.errno not in (errno.ENOTSUP, errno.ENODATA, errno.ENOENT):
                raise
        if values:
            self._xattrs[row] = values
