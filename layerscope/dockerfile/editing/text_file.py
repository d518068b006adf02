"""A Dockerfile on disk: read and written without loss."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.text import visible
from layerscope.writing import Existing, whole_file, write_all

_LARGEST = 8 << 20  # No one writes a larger Dockerfile.
_BOM = b"\xef\xbb\xbf"
_last_folder: list[Path] = []  # The current folder when it last existed.


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file as last read or written."""

    path: Path
    #: Its text, with line feeds as line ends, lone surrogates for bytes that are not UTF-8, and no
    #: byte order mark.
    text: str = ""
    crlf: bool = False  # Whether all of its lines end in CRLF.
    bom: bool = False  # Whether it begins with a byte order mark.
    stamp: Existing | None = None  # Its version when it was read; None if it does not exist yet.
    writable: bool = True


def current_folder() -> Path:
    """The current folder; if it has been removed, its former path."""
    with contextlib.suppress(OSError):
        _last_folder[:] = [Path.cwd()]
    # If it never existed, nothing can be found or written there.
    return _last_folder[0] if _last_folder else Path(os.devnull)


def read_text_file(path: Path) -> TextFile:
    """Reads a file.

    Raises NotFoundError if it does not exist and UsageError if it cannot be read or is not text.
    """
    name = visible(str(path))
    try:
        # Do not block on a pipe named Dockerfile.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise UsageError(f"{name} is not a file.")
        with os.fdopen(fd, "rb") as file:
            data = read_dockerfile(file, name)
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {name}.") from None
    except OSError as error:
        raise UsageError(f"{name} cannot be read ({error.strerror}).") from None
    if b"\0" in data:
        raise UsageError(f"{name} is not a text file.")
    return _of(path, data, status)


def read_dockerfile(file: BinaryIO, name: str) -> bytes:
    """Reads a Dockerfile from a file that may never end; `name` must be safe to show.

    Raises UsageError if it is too large for a Dockerfile.
    """
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UsageError(f"{name} is too large for a Dockerfile.")
    return data


def _of(path: Path, data: bytes, status: os.stat_result) -> TextFile:
    bom = data.startswith(_BOM)
    data = data.removeprefix(_BOM)
    feeds = data.count(b"\n")
    crlf = feeds > 0 and data.count(b"\r\n") == feeds
    text = data.decode("utf-8", "surrogateescape")
    return TextFile(
        path,
        text.replace("\r\n", "\n") if crlf else text,
        crlf,
        bom,
        Existing.of(status),
        os.access(path, os.W_OK),
    )


def data_of(file: TextFile, text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if file.crlf:
        data = data.replace(b"\n", b"\r\n")
    return _BOM + data if file.bom else data


def write_text_file(file: TextFile, text: str, *, new: bool = False) -> TextFile:
    """Writes a file completely or not at all, keeping its mode and owner.

    A file with several names, or in a folder that is not writable, is written in place.

    With `new`, the file must not exist yet. Returns the file as it is now. Raises UsageError if it
    already exists and LayerscopeError if it cannot be written.
    """
    data = data_of(file, text)
    name = visible(str(file.path))
    try:
        if new:
            with whole_file(file.path, mode=0o666) as fd:
                write_all(fd, data)
        else:
            _replace(Path(os.path.realpath(file.path)), data)
        status = file.path.stat()
    except FileExistsError:
        raise UsageError(f"{name} already exists.", "Choose another name.") from None
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise LayerscopeError(f"{name} cannot be written ({visible(reason)}).") from None
    return replace(file, text=text, stamp=Existing.of(status), writable=True)


def _replace(path: Path, data: bytes) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    if status is not None and not os.access(path, os.W_OK):
        # Replacing it would bypass its permissions.
        raise PermissionError(13, "Permission denied")
    several = status is not None and status.st_nlink > 1
    if several or not os.access(path.parent, os.W_OK):
        _in_place(path, data)
        return
    with whole_file(path, mode=0o666, replace=True) as fd:
        write_all(fd, data)
        os.fsync(fd)
        if status is not None:
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                with contextlib.suppress(PermissionError):
                    os.fchown(fd, status.st_uid, status.st_gid)
            os.fchmod(fd, stat.S_IMODE(status.st_mode))
            _copy_attributes(path, fd)


def _in_place(path: Path, data: bytes) -> None:
    with path.open("r+b", buffering=0) as target:
        old = target.read()
        try:
            _overwrite(target.fileno(), data)
        except OSError:
            # The disk may be full; there is room for the old content.
            with contextlib.suppress(OSError):
                _overwrite(target.fileno(), old)
            raise


def _overwrite(fd: int, data: bytes) -> None:
    os.lseek(fd, 0, os.SEEK_SET)
    write_all(fd, data)
    os.ftruncate(fd, len(data))


def _copy_attributes(path: Path, fd: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        for attribute in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(fd, attribute, os.getxattr(path, attribute))


def stamp_of(path: Path) -> Existing | None:
    """The current version of a file; None if the file does not exist."""
    try:
        return Existing.of(path.stat())
    except OSError:
        return None


def is_changed(file: TextFile) -> bool:
    """Whether the file has been changed, created or removed since it was last read."""
    try:
        return Existing.of(file.path.stat()) != file.stamp
    except FileNotFoundError:
        return file.stamp is not None
    except OSError:
        return False
