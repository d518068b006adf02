"""A Dockerfile on disk: read and written so that nothing is lost but what was changed."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass, replace
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.text import visible

#: Names of a Dockerfile, as builders look for them.
NAMES = ("Dockerfile", "Containerfile")
#: What is larger was not written by a person.
_LARGEST = 8 << 20
_BOM = b"\xef\xbb\xbf"
#: The current folder, as it was when it was there.
_last_folder: list[Path] = []


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is not what it was.

    Attributes:
        inode: Number of the file.
        size: Its bytes.
        modified: When it was written last, in nanoseconds.
    """

    inode: int
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file as it was read or written last.

    Attributes:
        path: Its path.
        text: Its text: lines end in line feeds, lone surrogates stand for bytes that are not UTF-8,
            and there is no byte order mark. What is not written back as it was is nothing.
        crlf: Whether all of its lines end in carriage return and line feed.
        bom: Whether it begins with a byte order mark.
        stamp: What it was when it was read; None if it is not there yet.
        mode: Its permission bits; None if it is not there yet.
        writable: Whether it can be written.
    """

    path: Path
    text: str = ""
    crlf: bool = False
    bom: bool = False
    stamp: Stamp | None = None
    mode: int | None = None
    writable: bool = True


def current_folder() -> Path:
    """The current folder; if it has been removed, where it was."""
    with contextlib.suppress(OSError):
        _last_folder[:] = [Path.cwd()]
    # Nothing is found or written there if it was gone at the beginning.
    return _last_folder[0] if _last_folder else Path(os.devnull)


def find_dockerfile(folder: Path) -> Path | None:
    """The Dockerfile of a folder, if there is one."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def read_text_file(path: Path) -> TextFile:
    """Reads a file.

    Raises:
        NotFoundError: There is none.
        UsageError: It cannot be read, or is no text.
    """
    name = visible(str(path))
    try:
        # Not to wait for a pipe that somebody calls a Dockerfile.
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
    """Reads a Dockerfile from a file that may have no end.

    Args:
        file: The file.
        name: What to call it; safe to show.

    Raises:
        UsageError: It is larger than any Dockerfile.
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
        _stamp(status),
        stat.S_IMODE(status.st_mode),
        os.access(path, os.W_OK),
    )


def data_of(file: TextFile, text: str) -> bytes:
    """The bytes of a file with another text."""
    data = text.encode("utf-8", "surrogateescape")
    if file.crlf:
        data = data.replace(b"\n", b"\r\n")
    return _BOM + data if file.bom else data


def write_text_file(file: TextFile, text: str, *, new: bool = False) -> TextFile:
    """Writes a file, whole or not at all, with its mode and owner as they were.

    A file with several names, or in a folder that cannot be written, is written in place.

    Args:
        file: The file as it is known.
        text: Its new text.
        new: Whether there must be no such file yet.

    Returns:
        The file as it is now.

    Raises:
        UsageError: There is one already.
        LayerscopeError: It cannot be written.
    """
    data = data_of(file, text)
    name = visible(str(file.path))
    try:
        if new:
            with file.path.open("xb") as target:
                target.write(data)
        else:
            _replace(Path(os.path.realpath(file.path)), data)
        status = file.path.stat()
    except FileExistsError:
        raise UsageError(f"{name} is there already.", "Choose another name.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LayerscopeError(f"{name} cannot be written ({visible(reason)}).") from None
    mode = stat.S_IMODE(status.st_mode)
    return replace(file, text=text, stamp=_stamp(status), mode=mode, writable=True)


def _replace(path: Path, data: bytes) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    if status is not None and not os.access(path, os.W_OK):
        # A new file in its place would get round that it is not to be written.
        raise PermissionError(13, "Permission denied")
    if status is not None and status.st_nlink > 1:
        _in_place(path, data)
        return
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except PermissionError:
        _in_place(path, data)
        return
    try:
        with os.fdopen(fd, "wb") as target:
            target.write(data)
            target.flush()
            os.fsync(fd)
            if status is None:
                os.fchmod(fd, 0o666 & ~_umask())
            else:
                if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                    with contextlib.suppress(PermissionError):
                        os.fchown(fd, status.st_uid, status.st_gid)
                os.fchmod(fd, stat.S_IMODE(status.st_mode))
                _copy_attributes(path, fd)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _in_place(path: Path, data: bytes) -> None:
    with path.open("r+b", buffering=0) as target:
        old = target.read()
        try:
            _overwrite(target, data)
        except OSError:
            # A full disk may have taken half of it; what was there has room.
            with contextlib.suppress(OSError):
                _overwrite(target, old)
            raise


def _overwrite(target: RawIOBase, data: bytes) -> None:
    target.seek(0)
    rest = memoryview(data)
    while rest:
        rest = rest[target.write(rest) or 0 :]
    target.truncate()


def _copy_attributes(path: Path, fd: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        for attribute in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(fd, attribute, os.getxattr(path, attribute))


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


def is_changed(file: TextFile) -> bool:
    """Whether somebody else has written, made or removed a file since it was read or written."""
    try:
        return _stamp(file.path.stat()) != file.stamp
    except FileNotFoundError:
        return file.stamp is not None
    except OSError:
        return False
