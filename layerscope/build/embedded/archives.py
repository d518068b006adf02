"""Archives that ADD unpacks, and files that it downloads."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import IO

import numpy as np

from layerscope.build.embedded.image_source import stored_content
from layerscope.build.embedded.logins import split_login
from layerscope.build.embedded.metadata import StepError
from layerscope.build.embedded.sources import FOLDER, DataSource, Node, Pieces
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.byte_source import FileRange, TruncatedError
from layerscope.oci.compression import CompressionError, compression_of, decompressed
from layerscope.oci.tar_header import BLOCK, TarError, checksum_matches
from layerscope.text import visible

_PIECE = 1 << 20
_TIMEOUT = 30.0  # Seconds to wait for more bytes from a server.
_CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}")

Check = Callable[[], None]


class ArchiveSource:
    """The content of an archive, without unpacking it on this host."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        """Takes over an uncompressed archive; raises StepError if it is damaged or unsafe."""
        self._file = file
        fd = file.fileno()
        try:
            self._changeset = read_changeset(FileRange(fd, 0, os.fstat(fd).st_size))
        except (TarError, TruncatedError) as error:
            raise StepError(f"{name} is a damaged archive: {error}.") from None
        if self._changeset.outside:
            first = visible(next(iter(self._changeset.outside.values())))
            raise StepError(f"{name} has an entry that leads out of its folder: {first}.")
        if (self._changeset.kinds >= EntryType.WHITEOUT).any():
            raise StepError(f"{name} has names that begin with .wh., which mean removals.")
        self._name = name

    @cached_property
    def _nodes(self) -> dict[bytes, Node]:
        changeset = self._changeset
        rows = {path: row for row, path in enumerate(changeset.paths())}
        found = {path: self._node(changeset, row, rows) for path, row in rows.items()}
        found.pop(b"", None)
        return found

    def _node(self, changeset: Changeset, row: int, rows: dict[bytes, int]) -> Node:
        several = False
        for _ in range(len(rows)):
            if changeset.kinds[row] != EntryType.HARDLINK:
                break
            target = changeset.links[row]
            if target not in rows or rows[target] == row:
                raise StepError(
                    f"{self._name} has a hard link to {visible(target)}, which it does not hold."
                )
            row, several = rows[target], True
        kind = int(changeset.kinds[row])
        is_file = kind == EntryType.FILE
        # Unpacking a hard link also sets the mode, owner and time of its file.
        last = self._last_links.get(row, row)
        return Node(
            kind,
            int(changeset.modes[last]),
            int(changeset.uids[last]),
            int(changeset.gids[last]),
            int(changeset.sizes[row]) if is_file else 0,
            int(changeset.mtimes[last]),
            (lambda: stored_content(self._file.fileno(), changeset, row)) if is_file else None,
            changeset.links.get(row, b"") if kind == EntryType.SYMLINK else b"",
            row if several or row in self._last_links else None,
            changeset.devices.get(row),
            changeset.xattrs.get(row),
        )

    @cached_property
    def _last_links(self) -> dict[int, int]:
        """Returns the row of the last hard link, by the row of its target."""
        changeset = self._changeset
        rows = {path: row for row, path in enumerate(changeset.paths())}
        return {
            rows[changeset.links[row]]: row
            for row in np.flatnonzero(changeset.kinds == EntryType.HARDLINK).tolist()
            if changeset.links[row] in rows
        }

    def find(self, path: bytes) -> Node | None:
        return FOLDER if not path else self._nodes.get(path)

    def names(self, path: bytes) -> Sequence[bytes]:
        return [inner for inner, _ in self.below(path) if b"/" not in inner]

    def below(self, path: bytes) -> Iterator[tuple[bytes, Node]]:
        start = path + b"/" if path else b""
        ordered = sorted(self._nodes.items(), key=lambda found: found[0].replace(b"/", b"\0"))
        for each, node in ordered:
            if each.startswith(start):
                yield each[len(start) :], node

    def stamp(self, path: bytes) -> str:
        return self._name

    def close(self) -> None:
        self._file.close()


def open_archive(name: str, node: Node, folder: Path, check: Check) -> ArchiveSource | None:
    """Opens a file as an archive, compressed or not; None if it is not one.

    Decompresses it into an unnamed file in `folder`. Raises StepError.
    """
    if node.kind != EntryType.FILE or node.content is None or not node.size:
        return None
    pieces = iter(node.content())
    first = next(pieces, b"")
    kind = compression_of(first[:6])
    if kind is None and not _is_tar(first):
        return None
    file = temporary_file(folder)
    try:
        rest = _Reader(first, pieces)
        read = rest.read if kind is None else decompressed(kind, rest.read)
        try:
            start = read(_PIECE)
            while 0 < len(start) < BLOCK and (more := read(_PIECE)):
                start += more
        except CompressionError:
            # The file only begins like an archive.
            start = b""
        if not _is_tar(start):
            file.close()
            return None
        file.write(start)
        while piece := read(_PIECE):
            check()
            file.write(piece)
        file.flush()
        return ArchiveSource(name, file)
    except CompressionError as error:
        file.close()
        raise StepError(f"{name} is a damaged archive: {error}.") from None
    except OSError as error:
        file.close()
        raise StepError(f"{name} cannot be unpacked ({error.strerror}).") from None
    except BaseException:
        file.close()
        raise


def temporary_file(folder: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise StepError(f"{visible(str(folder))} cannot be written ({error.strerror}).") from None


def _is_tar(start: bytes) -> bool:
    return len(start) >= BLOCK and checksum_matches(start[:BLOCK])


class _Reader:
    """Reads up to a number of bytes from pieces."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._left, self._rest = first, rest

    def read(self, size: int) -> bytes:
        while not self._left:
            piece = next(self._rest, None)
            if piece is None:
                return b""
            self._left = piece
        data, self._left = self._left[:size], self._left[size:]
        return data


def parse_checksum(text: str) -> str:
    if not _CHECKSUM.fullmatch(text):
        shown = visible(text)
        raise StepError(f"--checksum={shown} is not a digest.", "Write --checksum=sha256:….")
    return text.lower()


def name_in(url: str) -> bytes:
    """Returns the file name in a URL, or ""."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    name = posixpath.basename(path)
    return b"" if name in ("", ".", "..") else os.fsencode(name)


@contextmanager
def downloaded(
    url: str, checksum: str, folder: Path, check: Check
) -> Iterator[tuple[DataSource, Node, str]]:
    """Yields the file at a URL as a source, with its digest. Raises StepError.

    It is owned by root, with mode 0600 and the time from the server.
    """
    name, shown = name_in(url) or b"download", visible(url)
    digest, size = hashlib.sha256(), 0
    with temporary_file(folder) as file:
        try:
            address, login = split_login(url)
            request = urllib.request.Request(address, headers={"User-Agent": "layerscope"})  # noqa: S310
            if login:  # Not sent to redirects.
                request.add_unredirected_header("Authorization", login)
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
                while piece := response.read(_PIECE):
                    check()
                    digest.update(piece)
                    file.write(piece)
                    size += len(piece)
                mtime = _time(response.headers.get("Last-Modified"))
        except urllib.error.HTTPError as error:
            raise StepError(f"{shown} cannot be downloaded: HTTP {error.code}.") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            why = getattr(reason, "strerror", None) or reason
            text = f"{shown} cannot be downloaded: {visible(str(why))}."
            raise StepError(text) from None
        file.flush()
        found = f"sha256:{digest.hexdigest()}"
        if checksum and found != checksum:
            raise StepError(f"{shown} is not what --checksum says: its digest is {found}.")

        def content() -> Pieces:
            for offset in range(0, size, _PIECE):
                yield os.pread(file.fileno(), _PIECE, offset)

        node = Node(EntryType.FILE, 0o600, 0, 0, size, mtime, content)
        yield DataSource({name: (node, found)}), node, found


def _time(text: str | None) -> int:
    try:
        return max(0, int(parsedate_to_datetime(text or "").timestamp()))
    except (TypeError, ValueError, OverflowError):
        return 0
