"""Walks a folder on disk with as little work per entry as Python allows.

A status object and a path for each call would cost several times the kernel's own time. So statx(2)
writes its results side by side into one buffer that numpy reads as columns, and names are resolved
relative to their folder's descriptor. This also makes the walk safe: no path is resolved that a
symlink could meanwhile redirect.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.errors import closed_on_error
from layerscope.oci.byte_source import opened

Status = npt.NDArray[Any]

# The fields of `struct statx` (linux/stat.h, the same on all architectures) that are used.
_FIELDS = {
    "nlink": ("=u4", 16),
    "uid": ("=u4", 20),
    "gid": ("=u4", 24),
    "mode": ("=u2", 28),
    "ino": ("=u8", 32),
    "size": ("=i8", 40),
    "ctime": ("=i8", 96),
    "ctime_ns": ("=u4", 104),
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

#: As many results as a second-level cache holds; they are packed before the buffer is reused.
_BUFFER = 1024

#: The most nested folders, each with an open descriptor; processes may usually open 1,024 files.
MAX_DEPTH = 900


class WalkError(OSError):
    """An entry of a folder cannot be read."""

    def __init__(self, path: bytes, number: int | None, problem: str = "") -> None:
        super().__init__(number or errno.EIO, problem or os.strerror(number or errno.EIO))
        self.path = path  # Relative to the folder.


@dataclass(slots=True)
class Found:
    """The results of a walk: each folder precedes its contents; names are sorted by bytes."""

    paths: list[bytes]  # Paths relative to the top, without the top itself.
    #: A structured array: nlink, uid, gid, mode, ino, size, ctime, ctime_ns, mtime, rdev_major,
    #: rdev_minor.
    status: Status
    links: dict[int, bytes]  # Targets of symlinks by row.
    #: Extended attributes of files and folders by row; the top is row -1.
    xattrs: dict[int, dict[bytes, bytes]]


def open_folder(name: bytes | str, folder: int | None = None) -> int:
    """Opens a folder without following a symlink and, if possible, without changing access times.

    Raises OSError if it is not a folder or cannot be opened.
    """
    return _open_quietly(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, folder)


def open_file(name: bytes | str, folder: int | None = None) -> int:
    """Opens a regular file in the same way; raises OSError."""
    # O_NONBLOCK: opening a fifo would block.
    fd = _open_quietly(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return fd


def _open_quietly(name: bytes | str, flags: int, folder: int | None) -> int:
    try:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        # Only root and the owner of a file may use O_NOATIME.
        return os.open(name, flags | os.O_CLOEXEC, dir_fd=folder)


def open_below(top: int, path: bytes) -> int:
    """Opens a regular file below a folder without following symlinks.

    Raises OSError if it does not exist or is not a regular file.
    """
    *parents, name = path.split(b"/")
    with opened(open_folder_below(top, parents)) as folder:
        return open_file(name, folder)


def open_folder_below(top: int, path: Iterable[bytes | str]) -> int:
    """Opens a folder below another without following symlinks; raises OSError."""
    folder = os.dup(top)
    with closed_on_error(lambda: os.close(folder)):
        for name in path:
            inner = open_folder(name, folder)
            os.close(folder)
            folder = inner
    return folder


def walk(
    top: int,
    wanted: Callable[[bytes], bool],
    *,
    live: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Found:
    """Walks a folder.

    `top` is its descriptor, which stays open. `wanted` selects extended attributes by name. With
    `live`, entries may disappear meanwhile; otherwise that is an error. `advance` is called with
    the number of entries found so far, and may raise to stop the walk.

    Raises WalkError if something cannot be read.
    """
    results: list[Found] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(_Walk(wanted, live, advance).run(top))
        except BaseException as error:
            errors.append(error)

    # A thread can have its own current folder.
    thread = threading.Thread(target=run, name="walk")
    try:
        thread.start()
    except RuntimeError:
        # A process whose children get their own PID namespace cannot start threads.
        with opened(os.open(".", os.O_PATH | os.O_CLOEXEC)) as here:
            run()
            os.fchdir(here)
    else:
        thread.join()
    if errors:
        raise errors[0]
    return results[0]


# PyDLL keeps the interpreter lock, which is cheaper for such short calls. So is passing arguments
# of the right C type instead of declaring types, which converts each argument.
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
    """A folder on the walk's current path."""

    fd: int
    prefix: bytes  # Its path and a slash, or empty for the top.
    names: list[bytes]  # Its entries, sorted.
    base: int  # Row of the first of them.
    folders: list[int]  # Indices of its folders, last one first.
    done: int = 0  # The number of its entries in the result.


class _Walk:
    def __init__(
        self, wanted: Callable[[bytes], bool], live: bool, advance: Callable[[int], None] | None
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
        # A thread with its own current folder may change it, and bare names are the fastest
        # paths. If unshare(2) is forbidden, /proc leads to the same files.
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
        """Adds a level's entries to the result, up to the folder that is entered next."""
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
        """Reads a folder and the status, links and attributes of its entries."""
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
        """Reads the status of names into the buffer; returns existing names and their modes."""
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
        """The same after a failure; with `live`, leaves out names that disappeared."""
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
            # The file system has none, or the entry has just disappeared.
            if error.errno not in (errno.ENOTSUP, errno.ENODATA, errno.ENOENT):
                raise
        if values:
            self._xattrs[row] = values
