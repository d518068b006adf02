"""A build context as the tar stream that Docker's client sends: root owns everything."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.dockerfile.context.context import Context, ContextEntry, unreadable
from layerscope.dockerfile.context.conventions import DOCKERIGNORE
from layerscope.errors import BadInputError
from layerscope.text import visible

_PIECE = 1 << 20  # Bytes read at once.
_CAPABILITY = "security.capability"  # The only extended attribute that Docker's client sends.

_SPECIAL = re.compile(r"[^\w/.-]", re.ASCII)  # Characters that may be special in a pattern.

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
    added: Mapping[str, bytes] | None = None,
    private: Mapping[str, bytes] | None = None,
    gone: Callable[[str], object] | None = None,
) -> Iterator[bytes]:
    """The context as a tar stream (POSIX, PAX), in pieces.

    Owners are 0:0 and times whole seconds. Symbolic links stay links; a file with several names is
    sent once.

    `added` are files by name that are not in the context, or replace its own; `private` are more
    files, for the builder only. `gone` is called with the path of a file that was removed or
    replaced since the context was read; the file is skipped, as in Docker's client.

    Raises UsageError if a file cannot be read and BadInputError if a file shrank while it was read.
    """
    inodes: dict[tuple[int, int], str] = {}
    added = added or {}
    for entry in context.entries:
        if entry.path in added:
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
    for path, data in added.items():
        yield from _added(tarfile.TarInfo(path), data)
    for path, data in (private or {}).items():
        header = tarfile.TarInfo(path)
        header.mode = 0o600
        yield from _added(header, data)
    yield bytes(2 * tarfile.BLOCKSIZE)


def excludes(context: Context, added: Iterable[str] = ()) -> str:
    """The `excludes` parameter of Podman's API: the files that are sent for the builder only.

    With it, Podman does not look for rules in the context, which are already applied.
    """
    paths = [entry.path for entry in context.entries if entry.for_builder]
    patterns = [_SPECIAL.sub(r"\\\g<0>", path) for path in (*paths, *added)]
    # An empty list is ignored.
    return json.dumps(patterns or ["!."])


def hidden(context: Context, name: str) -> dict[str, bytes]:
    """A `.dockerignore` that makes Docker's classic builder remove a file after reading it."""
    path = context.root / DOCKERIGNORE
    names = [name]
    try:
        rules = read_file(path)
    except OSError:
        rules = b""
        names.append(DOCKERIGNORE)
    return {DOCKERIGNORE: b"\n".join([rules, *map(os.fsencode, names), b""])}


def _added(header: tarfile.TarInfo, data: bytes) -> Iterator[bytes]:
    header.size = len(data)
    yield _encoded(header)
    yield data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _encoded(header: tarfile.TarInfo) -> bytes:
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


class _GoneError(Exception):
    """An entry of the context is no longer there."""


@contextmanager
def _opened(root: Path, entry: ContextEntry) -> Iterator[io.FileIO | None]:
    """Opens a regular file; None for anything else."""
    if not entry.is_file:
        yield None
        return
    path = root / entry.path
    try:
        # A file replaced by a link must not lead outside the context.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise _GoneError from None
        raise unreadable(path, error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _GoneError
    with io.FileIO(descriptor) as file:
        yield file


def _header(
    root: Path, entry: ContextEntry, inodes: dict[tuple[int, int], str], file: io.FileIO | None
) -> tarfile.TarInfo:
    # It may have grown since the context was read.
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
            # Path.readlink drops `./`.
            header.linkname = os.readlink(full)  # noqa: PTH115
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                raise _GoneError from None
            raise unreadable(full, error) from None
    elif header.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        header.devmajor, header.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return header


def _capability(path: Path) -> bytes:
    try:
        return os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError:
        # The file has none, or the file system does not support them.
        return b""


def _content(file: io.FileIO, path: Path, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes of a file, padded to a whole block."""
    left = size
    try:
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
    except OSError as error:
        raise unreadable(path, error) from None
    if left:
        raise BadInputError(
            visible(str(path)), size - left, "the file became shorter while it was read"
        )
    if size % tarfile.BLOCKSIZE:
        yield bytes(-size % tarfile.BLOCKSIZE)
