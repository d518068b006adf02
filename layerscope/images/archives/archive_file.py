"""A tar archive in an uncompressed file; its entries are indexed once and read by offset."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layerscope.bounded import open_regular
from layerscope.errors import SAVE_AGAIN, BadInputError, NotFoundError, closed_on_error
from layerscope.filesystem import changeset as changeset_module
from layerscope.images.archives.blob_store import BlobMissingError
from layerscope.images.archives.save_format import entry_name, resolve_link, sparse_member
from layerscope.oci.byte_source import ByteSource, FileRange, TruncatedError, opened, read_at
from layerscope.oci.compression import compression_of
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan
from layerscope.text import decode as decode_name
from layerscope.text import visible

#: The hint for other files.
_WHAT = "layerscope opens what `docker save` writes."
_FOLDER = (
    "layerscope opens OCI layouts, unpacked `docker save` archives and folders of `skopeo copy`; "
    "a data folder of Docker is docker-root:DIR."
)


@dataclass(frozen=True, slots=True)
class Member:
    """The location of a regular file's content in an archive."""

    offset: int
    size: int


def open_file(path: Path) -> int:
    """Opens a file for reading and returns its descriptor.

    Raises NotFoundError if it does not exist, and BadInputError if it cannot be read or is not a
    regular file.
    """
    name = visible(str(path))
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise NotFoundError(f"{name} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise no_image(name) from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            hint = "Write the archive to a file and open that."
            raise BadInputError(name, None, str(error.strerror), hint) from None
        raise BadInputError(name, None, f"it cannot be opened ({error.strerror})") from None


def no_image(folder: str) -> BadInputError:
    """The error for a folder that holds no image; `folder` is safe to show."""
    return BadInputError(folder, None, "it is a folder without an image", _FOLDER)


class ArchiveFile:
    """An archive with indexed entries; also a `BlobStore` if it holds an image layout."""

    def __init__(self, fd: int, file: str) -> None:
        """Takes ownership of an open file and indexes its entries; raises BadInputError."""
        self.file = file
        self._fd = fd
        with closed_on_error(self.close):
            status = os.fstat(fd)
            self._identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            self.whole = FileRange(fd, 0, status.st_size)
            self._members, self._links, self._sparse = index_archive(self.whole, file)

    def holds(self, name: str) -> bool:
        target = self.target(name)
        return target in self._members or target in self._sparse

    def target(self, name: str) -> str:
        """The entry that a name leads to through symlinks."""
        return resolve_link(name, self._links)

    def member(self, name: str) -> Member | None:
        """The location of a file; None if it is missing. Raises BadInputError if it is sparse."""
        target = self.target(name)
        if target in self._sparse:
            raise sparse_member(self.file, target, self._sparse[target])
        return self._members.get(target)

    def part(self, member: Member) -> FileRange:
        return self.whole.part(member.offset, member.size)

    def key(self, member: Member) -> str:
        """Identifies an entry's content by its location in this very file, as it is now.

        The digests that an archive claims cannot serve: verifying them means reading gigabytes that
        are otherwise skipped.
        """
        return "file:" + ":".join(map(str, (*self._identity, member.offset, member.size)))

    def names(self) -> Iterator[str]:
        yield from (*self._members, *self._links)

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        member = self.member(name)
        if member is None:
            raise BlobMissingError(self.file, None, f"it has no {visible(name)}")
        yield self.part(member), member.size, self.key(member)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def index_archive(
    source: ByteSource, file: str
) -> tuple[dict[str, Member], dict[str, str], dict[str, int]]:
    """Finds the entries of an archive.

    Returns, by name: regular files, targets of symlinks, offsets of sparse files. Raises
    BadInputError if it is not a tar archive, or is truncated.
    """
    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    sparse: dict[str, int] = {}
    seen = 0
    try:
        for part in decode(scan(source)):
            seen += len(part.names)
            if seen > changeset_module.MOST_ENTRIES:
                problem = f"the archive has more than {changeset_module.MOST_ENTRIES:,} entries"
                raise TarError(int(part.offsets[0]), problem)
            offsets, sizes = part.data_offsets.tolist(), part.sizes.tolist()
            for row, (name, kind) in enumerate(zip(part.names, part.kinds.tolist(), strict=True)):
                text = entry_name(name)
                if row in part.sparse:
                    sparse[text] = int(part.offsets[row])
                    continue
                if kind == ord("0"):
                    members[text] = Member(offsets[row], sizes[row])
                elif kind == ord("2"):
                    links[text] = decode_name(part.links[row])
                elif kind == ord("1"):
                    target = entry_name(part.links[row])
                    if target in members:
                        members[text] = members[target]
    except TarError as error:
        problem, hint = error.problem, error.hint
        if not seen and error.offset == 0:
            problem, hint = "it is not a tar archive", _WHAT
        raise BadInputError(file, error.offset, problem, hint) from None
    except TruncatedError as error:
        raise BadInputError(file, error.offset, "the archive is truncated", SAVE_AGAIN) from None
    if not members and not sparse:
        raise BadInputError(file, 0, "it holds no files", _WHAT)
    return members, links, sparse


def is_compressed(path: Path) -> str | None:
    """How a file is compressed, or None if it is not; raises LayerscopeError."""
    with opened(open_file(path)) as fd:
        return compression_of(read_at(fd, 6, 0, str(path)))
