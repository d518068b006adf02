"""A build context as the tar stream that Docker's client sends: root owns everything."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from layerscope.dockerfile.context import Context, ContextEntry
from layerscope.errors import BadInputError, UsageError
from layerscope.text import visible

#: Bytes of a file that are read at once.
_PIECE = 1 << 20
#: The one extended attribute that Docker's client sends.
_CAPABILITY = "security.capability"

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


def pack(
    context: Context,
    dockerfile: bytes | None = None,
    name: str = "",
    private: Mapping[str, bytes] | None = None,
    gone: Callable[[str], object] | None = None,
) -> Iterator[bytes]:
    """The context as a tar stream (POSIX, PAX), in pieces.

    Owners are 0:0 and times whole seconds; symbolic links stay links, a file with several names is
    sent once. What the builder alone reads is in it.

    Args:
        context: The context.
        dockerfile: A Dockerfile to add that is not in the context, or takes the place of its own.
        name: Its name in the stream.
        private: More files to add, for the builder's eyes alone, by name.
        gone: Told the path of whatever is not there any more, or is something else now, as happens
            where others work in the folder; it is left out, as Docker's client does.

    Raises:
        UsageError: A file cannot be read.
        BadInputError: A file became shorter while it was read.
    """
    inodes: dict[tuple[int, int], str] = {}
    for entry in context.entries:
        if dockerfile is not None and entry.path == name:
            continue
        try:
            with _opened(context.root, entry) as file:
                header = _header(context.root, entry, inodes, file)
                yield _encoded(header)
                if file is not None and header.type == tarfile.REGTYPE and header.size:
                    yield from _content(file, context.root / entry.path, header.size)
        except _GoneError:
            if gone is not None:
                gone(entry.path)
    if dockerfile is not None:
        header = tarfile.TarInfo(name)
        yield from _added(header, dockerfile)
    for path, data in (private or {}).items():
        header = tarfile.TarInfo(path)
        header.mode = 0o600
        yield from _added(header, data)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _added(header: tarfile.TarInfo, data: bytes) -> Iterator[bytes]:
    header.size = len(data)
    yield _encoded(header)
    yield data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _encoded(header: tarfile.TarInfo) -> bytes:
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


class _GoneError(Exception):
    """What was found in the context is not there any more."""


@contextmanager
def _opened(root: Path, entry: ContextEntry) -> Iterator[io.FileIO | None]:
    """A regular file, open; None for anything else."""
    if not entry.is_file:
        yield None
        return
    path = root / entry.path
    try:
        # What was a file may be a link by now, and must not lead elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise _GoneError from None
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _GoneError
    with io.FileIO(descriptor) as file:
        yield file


def _header(
    root: Path,
    entry: ContextEntry,
    inodes: dict[tuple[int, int], str],
    file: io.FileIO | None,
) -> tarfile.TarInfo:
    # It may have grown since the context was read; what is sent is what it is now.
    status = entry.status if file is None else os.fstat(file.fileno())
    header = tarfile.TarInfo(entry.path)
    header.type = _TYPES[stat.S_IFMT(status.st_mode)]
    header.mode = stat.S_IMODE(status.st_mode)
    header.mtime = int(status.st_mtime)
    full = root / entry.path
    if entry.is_file:
        if status.st_nlink > 1:
            first = inodes.setdefault((status.st_dev, status.st_ino), entry.path)
            if first != entry.path:
                header.type, header.linkname = tarfile.LNKTYPE, first
                return header
        header.size = status.st_size
        capability = _capability(full)
        if capability:
            text = capability.decode("utf-8", "surrogateescape")
            header.pax_headers = {f"SCHILY.xattr.{_CAPABILITY}": text}
    elif stat.S_ISLNK(status.st_mode):
        try:
            # Path's own takes `./` away.
            header.linkname = os.readlink(full)  # noqa: PTH115
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                raise _GoneError from None
            raise _unreadable(full, error) from None
    elif header.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        header.devmajor, header.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return header


def _capability(path: Path) -> bytes:
    try:
        return os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError:
        # There is none, or the file system has no such thing.
        return b""


def _content(file: io.FileIO, path: Path, size: int) -> Iterator[bytes]:
    """Exactly so many bytes of a file, filled up to a whole block."""
    left = size
    try:
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
    except OSError as error:
        raise _unreadable(path, error) from None
    if left:
        raise BadInputError(
            visible(str(path)), size - left, "the file became shorter while it was read"
        )
    if size % tarfile.BLOCKSIZE:
        yield bytes(-size % tarfile.BLOCKSIZE)


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{visible(str(path))} cannot be read ({error.strerror}).",
        "Let it be read, or leave it out by a line in .dockerignore.",
    )
