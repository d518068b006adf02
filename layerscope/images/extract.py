"""Writes files of an image to a folder, and to nowhere else.

Names come from the image and may be hostile. So every folder is opened relative to the one above
it, never through a symlink, and every file is created anew: nothing that was there before is
written to, and no link that the image brought along is followed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.lookup import LookupFailedError, resolve
from layerscope.images.file_digests import content_of
from layerscope.images.loading import Loaded
from layerscope.images.reader import ImageReader
from layerscope.text import visible

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

#: A folder stays open for each level, and a process may have 1024 files open.
_DEEPEST = 256


@dataclass(slots=True)
class Extracted:
    """What was written.

    Attributes:
        files: How many files, links and folders.
        size: Bytes of files.
        skipped: Paths that were left out, and why.
    """

    files: int = 0
    size: int = 0
    skipped: list[tuple[bytes, str]] = field(default_factory=list)


def extract(
    loaded: Loaded,
    reader: ImageReader,
    paths: list[bytes],
    target: Path,
    *,
    layer: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Extracted:
    """Writes paths of the union, with all that is below them, under a folder.

    A path keeps its place: `/etc/nginx` becomes `TARGET/etc/nginx`. Modes without setuid and setgid
    are kept, and times; owners are not, so that an image cannot plant files of another user.
    Devices and fifos are left out.

    Args:
        loaded: The image.
        reader: What its content is read from.
        paths: Paths without leading slash; the empty one means everything.
        target: The folder; made if it is not there.
        layer: Number of the layer on top, or None for the last one.
        advance: Told how many bytes have been written; may raise to stop.

    Raises:
        NotFoundError: A path is not in the image.
        UsageError: Something is in the way.
        LayerscopeError: Writing failed.
    """
    stack = loaded.stack
    top = stack.height - 1 if layer is None else layer
    nodes = [_node(loaded, path, top) for path in paths]
    result = Extracted()
    rows = stack.union(top)
    by_node = dict(zip(stack.nodes[rows].tolist(), rows.tolist(), strict=True))
    job = _Job(loaded, reader, result, advance)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _opened(os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            for node in nodes:
                with job.folder_above(root, node) as folder:
                    job.write(folder, node, by_node)
    except OSError as error:
        raise LayerscopeError(
            f"{visible(str(target))} cannot be written ({error.strerror}).",
            "Choose another folder with -o.",
        ) from None
    return result


def _node(loaded: Loaded, path: bytes, top: int) -> int:
    if not path:
        return 0
    try:
        row = resolve(loaded.stack, path, top, follow=False)
    except LookupFailedError as error:
        raise NotFoundError(
            f"/{visible(path)}: {error}.", "Paths are as `layerscope files` lists them."
        ) from None
    return int(loaded.stack.nodes[row])


@contextmanager
def _opened(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


class _Job:
    def __init__(
        self,
        loaded: Loaded,
        reader: ImageReader,
        result: Extracted,
        advance: Callable[[int], None] | None,
    ) -> None:
        self._stack = loaded.stack
        self._reader = reader
        self._result = result
        self._advance = advance

    @contextmanager
    def folder_above(self, root: int, node: int) -> Iterator[int]:
        """Opens the folder that a node belongs into, and makes what is missing of it."""
        parts = self._stack.tree.path(node).split(b"/")[:-1]
        current = os.dup(root)
        try:
            for part in parts:
                inner = self._enter(current, part)
                os.close(current)
                current = inner
            yield current
        finally:
            os.close(current)

    def write(self, folder: int, node: int, rows: dict[int, int]) -> None:
        """Writes a node, and all below it, into an open folder."""
        tree = self._stack.tree
        if node == 0:
            for child in tree.children(0):
                self.write(folder, child, rows)
            return
        row = rows.get(node)
        if row is None:
            return
        if tree.depths[node] > _DEEPEST:
            self._result.skipped.append((tree.path(node), "it is nested too deeply"))
            return
        name = tree.name(node)
        kind = EntryType(int(self._stack.types[row]))
        if kind is EntryType.DIR:
            with _opened(self._enter(folder, name)) as inner:
                for child in tree.children(node):
                    self.write(inner, child, rows)
                os.fchmod(inner, int(self._stack.modes[row]) & 0o1777 | 0o700)
                os.utime(inner, (self._time(row),) * 2)
            self._result.files += 1
        elif kind is EntryType.FILE:
            self._file(folder, name, row)
        elif kind is EntryType.SYMLINK:
            with _in_the_way(self._path(node)):
                os.symlink(
                    self._stack.link(int(self._stack.inodes[row])) or b"", name, dir_fd=folder
                )
            self._result.files += 1
        else:
            self._result.skipped.append((tree.path(node), f"a {kind.label} is not extracted"))

    def _file(self, folder: int, name: bytes, row: int) -> None:
        with _in_the_way(self._path(int(self._stack.nodes[row]))):
            fd = os.open(name, _NEW, 0o600, dir_fd=folder)
        with os.fdopen(fd, "wb", buffering=0) as file:
            for piece in content_of(self._stack, self._reader, row):
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) or 0 :]
                self._result.size += len(piece)
                if self._advance is not None:
                    self._advance(self._result.size)
            os.fchmod(file.fileno(), int(self._stack.modes[row]) & 0o777)
            os.utime(file.fileno(), (self._time(row),) * 2)
        self._result.files += 1

    def _enter(self, folder: int, name: bytes) -> int:
        """Opens a folder inside another; a symlink of that name is in the way, not followed."""
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            pass
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise _blocked(name) from None
            raise

    def _path(self, node: int) -> bytes:
        return self._stack.tree.path(node)

    def _time(self, row: int) -> int:
        return max(0, int(self._stack.mtimes[row]))


@contextmanager
def _in_the_way(path: bytes) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise _blocked(path) from None


def _blocked(path: bytes) -> UsageError:
    return UsageError(
        f"{visible(path)} is already there, and nothing is overwritten.",
        "Choose an empty folder with -o.",
    )
