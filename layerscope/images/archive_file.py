"""A tar archive in a file that can seek: its entries are found once, their content by offset."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import SAVE_AGAIN, BadInputError, NotFoundError
from layerscope.filesystem import changeset as changeset_module
from layerscope.images.blob_store import BlobMissingError
from layerscope.images.save_layout import resolve_link, sparse_member
from layerscope.oci.byte_source import ByteSource, FileRange, TruncatedError, read_at
from layerscope.oci.compression import compression_of
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan
from layerscope.text import decode as decode_name
from layerscope.text import visible

#: What to do about a file that is something else.
_WHAT = "layerscope opens what `docker save` writes."


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive.

    Attributes:
        offset: Where its content begins.
        size: How long that is.
    """

    offset: int
    size: int


def open_file(path: Path) -> int:
    """Opens a file for reading and returns its descriptor.

    Raises:
        NotFoundError: It is not there.
        BadInputError: It cannot be read, or is no file.
    """
    name = visible(str(path))
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"{name} does not exist.", "Check the path.") from None
    except OSError as error:
        raise BadInputError(name, None, f"it cannot be opened ({error.strerror})") from None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        if stat.S_ISDIR(mode):
            raise BadInputError(name, None, "it is a folder, not an archive")
        raise BadInputError(
            name, None, "it is not a regular file", "Write the archive to a file and open that."
        )
    return fd


class ArchiveFile:
    """An archive whose entries are known. It is a `BlobStore` too, if it holds an image layout.

    Attributes:
        file: What it is called, for errors.
        whole: All its bytes.
    """

    def __init__(self, fd: int, file: str) -> None:
        """Finds the entries.

        Args:
            fd: The open file; closed with the archive.
            file: What it is called.

        Raises:
            BadInputError: It is no tar archive, or it is truncated.
        """
        self.file = file
        self._fd = fd
        try:
            status = os.fstat(fd)
            self._identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            self.whole = FileRange(fd, 0, status.st_size)
            self._members, self._links = index_archive(self.whole, file)
        except BaseException:
            self.close()
            raise

    def __contains__(self, name: str) -> bool:
        return self.target(name) in self._members

    def target(self, name: str) -> str:
        """The entry that a name leads to, links between entries followed."""
        return resolve_link(name, self._links)

    def member(self, name: str) -> Member | None:
        """Where the content of an entry is, or None if there is no such entry."""
        return self._members.get(self.target(name))

    def part(self, member: Member) -> FileRange:
        """The content of an entry."""
        return self.whole.part(member.offset, member.size)

    def key(self, member: Member) -> str:
        """Names the content of an entry by its place in this very file, unchanged since.

        What an archive says of digests is no such name: to check it would mean to read gigabytes
        that are otherwise seeked over.
        """
        return "file:" + ":".join(map(str, (*self._identity, member.offset, member.size)))

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        """See `BlobStore.opened`."""
        member = self.member(name)
        if member is None:
            raise BlobMissingError(self.file, None, f"it has no {visible(name)}")
        yield self.part(member), member.size, self.key(member)

    def close(self) -> None:
        """Closes the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_archive(path: Path) -> ArchiveFile:
    """Opens an uncompressed archive and finds its entries.

    Raises:
        LayerscopeError: It cannot be read, or is none.
    """
    return ArchiveFile(open_file(path), visible(str(path)))


def index_archive(source: ByteSource, file: str) -> tuple[dict[str, Member], dict[str, str]]:
    """Finds the entries of an archive.

    Returns:
        Regular files by name, and targets of symlinks by name.

    Raises:
        BadInputError: It is no tar archive, or it is truncated.
    """
    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    seen = 0
    try:
        for part in decode(scan(source)):
            seen += len(part.names)
            if seen > changeset_module.MOST_ENTRIES:
                problem = f"the archive has more than {changeset_module.MOST_ENTRIES:,} entries"
                raise TarError(int(part.offsets[0]), problem)
            offsets, sizes = part.data_offsets.tolist(), part.sizes.tolist()
            for row, (name, kind) in enumerate(zip(part.names, part.kinds.tolist(), strict=True)):
                text = decode_name(name).removeprefix("./")
                if row in part.sparse:
                    raise sparse_member(file, text, int(part.offsets[row]))
                if kind == ord("0"):
                    members[text] = Member(offsets[row], sizes[row])
                elif kind == ord("2"):
                    links[text] = decode_name(part.links[row])
                elif kind == ord("1"):
                    target = decode_name(part.links[row]).removeprefix("./")
                    if target in members:
                        members[text] = members[target]
    except TarError as error:
        problem, hint = error.problem, error.hint
        if not seen and error.offset == 0:
            problem, hint = "it is not a tar archive", _WHAT
        raise BadInputError(file, error.offset, problem, hint) from None
    except TruncatedError as error:
        raise BadInputError(file, error.offset, "the archive is truncated", SAVE_AGAIN) from None
    if not members:
        raise BadInputError(file, 0, "it holds no files", _WHAT)
    return members, links


def is_compressed(path: Path) -> str | None:
    """How a file is compressed, or None if it is not.

    Raises:
        LayerscopeError: It cannot be read.
    """
    fd = open_file(path)
    try:
        return compression_of(read_at(fd, 6, 0, str(path)))
    finally:
        os.close(fd)
