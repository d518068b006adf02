"""Partly fetched blobs in the user's cache folder, where the next attempt resumes.

A blob is a file that is named after its digest and only grows. Nothing marks it as complete: the
next process reads it and compares the digest, so killed processes and disk errors do no harm. A
lock keeps two processes from fetching the same blob.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from layerscope.config import cache_folder
from layerscope.errors import LayerscopeError, RegistryError
from layerscope.images.archives.writing import Blob, Read
from layerscope.images.registry.blobs import BlobStream
from layerscope.images.registry.client import Check, RegistryClient, no_check, wait_for
from layerscope.images.registry.errors import WrongDigest
from layerscope.oci.byte_source import FileRange, whole_reader
from layerscope.oci.distribution import is_digest
from layerscope.oci.manifest import Descriptor
from layerscope.text import visible
from layerscope.writing import check_space, failure, write_all

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

#: Seconds after which an unused blob is removed.
_OLD = 7 * 86400
_PIECE = 1 << 20
_LOCK_PERIOD = 0.2
_HINT = (
    "Make room there, or set XDG_CACHE_HOME to another folder; what was fetched is kept for the "
    "next attempt."
)

State = Literal["verifying", "downloading", "retrying", "exists", "done"]
#: Receives a blob's progress: its state, the number of bytes available, and a remark.
Report = Callable[[State, int, str], None]


@dataclass(frozen=True, slots=True)
class Fetch:
    """What to fetch, and how to report it."""

    client: RegistryClient
    descriptor: Descriptor
    what: str  # Its name in messages, such as `layer sha256:…`.
    report: Report
    check: Check = no_check


class KeptBlobs:
    """The blobs of one transfer. They stay open until `forget` or `drop` removes them."""

    def __init__(self) -> None:
        """Raises LayerscopeError if the folder cannot be created."""
        self.folder = cache_folder() / "blobs-1"
        self._open: dict[str, int] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._failed(error) from None
        self._remove_old()

    def missing(self, descriptors: list[Descriptor]) -> int:
        """The number of bytes still to fetch."""
        sizes = {each.digest: each.size for each in descriptors}
        return sum(max(0, size - self._size(digest)) for digest, size in sizes.items())

    def check_space(self, descriptors: list[Descriptor]) -> None:
        """Raises LayerscopeError if the disk has no space for the missing bytes."""
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            check_space(fd, self.missing(descriptors), visible(str(self.folder)), _HINT)
        finally:
            os.close(fd)

    def fetch(self, wanted: Fetch) -> Blob:
        """A blob with verified digest and size; thread-safe.

        Raises LayerscopeError if it cannot be fetched; the bytes received so far are kept.
        """
        digest, size = wanted.descriptor.digest, wanted.descriptor.size
        if not is_digest(digest):
            raise RegistryError(
                f"{visible(wanted.what)} has an unsupported digest.",
                "Only sha256 and sha512 are supported.",
            )
        try:
            try:
                fd = self._completed(self._locked(digest, wanted), wanted)
            finally:
                if digest in self._open:
                    fcntl.flock(self._open[digest], fcntl.LOCK_UN)
        except OSError as error:
            raise self._failed(error) from None

        @contextmanager
        def opened(start: int) -> Iterator[Read]:
            yield whole_reader(FileRange(fd, 0, size), size, start)

        return Blob(digest, size, opened, fd)

    def forget(self) -> None:
        """Removes and closes the blobs of this transfer, which have reached their destination."""
        for digest in list(self._open):
            self.drop(digest)

    def drop(self, digest: str) -> None:
        """As `forget`, for one blob."""
        fd = self._open.pop(digest)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(fd), self._path(digest).stat()):
                self._path(digest).unlink()
        os.close(fd)

    def _completed(self, fd: int, wanted: Fetch) -> int:
        """Fetches a file's missing bytes; returns its descriptor, or that of a replacement."""
        descriptor = wanted.descriptor
        here = os.fstat(fd).st_size
        if here <= descriptor.size:
            digest, found = self._digest_of(fd, here, wanted)
            try:
                if here == descriptor.size and _fits(digest, descriptor):
                    wanted.report("exists" if here else "done", here, "")
                    return fd
                if here < descriptor.size:
                    self._append(fd, wanted, digest, found)
                    return fd
            except WrongDigest:
                if not here:
                    self._path(descriptor.digest).unlink(missing_ok=True)
                    raise
        # The kept file is damaged or another program's. It may be linked to, so create a new one.
        self._path(descriptor.digest).unlink(missing_ok=True)
        new = self._locked(descriptor.digest, wanted)
        try:
            self._append(new, wanted, _new(descriptor), 0)
        except WrongDigest:
            self._path(descriptor.digest).unlink(missing_ok=True)
            raise
        return new

    def _append(self, fd: int, wanted: Fetch, digest: Hash, start: int) -> None:
        report, at = wanted.report, start
        report("downloading", at, "")
        with contextlib.closing(
            BlobStream(
                wanted.client,
                wanted.descriptor,
                wanted.what,
                check=wanted.check,
                start=start,
                digest=digest,
                retrying=lambda why: report("retrying", at, why),
            )
        ) as stream:
            os.lseek(fd, start, os.SEEK_SET)
            while piece := stream.read(_PIECE):
                write_all(fd, piece)
                at += len(piece)
                report("downloading", at, "")
            report("verifying", at, "")
            stream.verify()
        report("done", at, "")

    def _digest_of(self, fd: int, size: int, wanted: Fetch) -> tuple[Hash, int]:
        """The digest of the bytes available so far, to continue from."""
        digest = _new(wanted.descriptor)
        position = 0
        while position < size and (piece := os.pread(fd, _PIECE, position)):
            wanted.check()
            digest.update(piece)
            position += len(piece)
            wanted.report("verifying", position, "")
        return digest, position

    def _locked(self, digest: str, wanted: Fetch) -> int:
        """Opens and locks the file of a blob once no other process fetches it."""
        path = self._path(digest)
        while True:
            wanted.check()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(path, flags, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # It may have been removed before it was locked.
                if os.fstat(fd).st_nlink:
                    os.utime(fd)
                    old, self._open[digest] = self._open.get(digest), fd
                    if old is not None:
                        os.close(old)
                    return fd
            except BlockingIOError:
                pass
            os.close(fd)
            wait_for(_LOCK_PERIOD, wanted.check)

    def _path(self, digest: str) -> Path:
        return self.folder / digest.replace(":", "-")

    def _size(self, digest: str) -> int:
        try:
            return self._path(digest).stat().st_size if is_digest(digest) else 0
        except OSError:
            return 0

    def _remove_old(self) -> None:
        before = time.time() - _OLD
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        Path(entry.path).unlink()

    def _failed(self, error: OSError) -> LayerscopeError:
        return LayerscopeError(failure(error, str(self.folder)), _HINT)


def _new(descriptor: Descriptor) -> Hash:
    return hashlib.new(descriptor.digest.partition(":")[0])


def _fits(digest: Hash, descriptor: Descriptor) -> bool:
    return digest.hexdigest() == descriptor.digest.partition(":")[2]
