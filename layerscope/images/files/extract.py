"""Writes files of an image to a folder, and nowhere else.

Names come from the image and may be hostile. Therefore every folder is opened relative to its
parent, never through a symlink, and every file is created: nothing is written to an existing file,
and no link in the image is followed.

Each layer is read once, so files are written in layer order. A file gets its name when it is
complete.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.disk_walk import open_folder_below
from layerscope.filesystem.lookup import LookupFailedError, resolve
from layerscope.filesystem.stack import Stack
from layerscope.images.files.digests import passed
from layerscope.images.files.located import Located
from layerscope.images.loading import Loaded
from layerscope.images.pieces import Piece, pieces_of, stored_size, write_pieces
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.oci.byte_source import opened
from layerscope.text import docker_size, plural, visible
from layerscope.writing import NO_LINKS, check_space, failure, whole_file

#: A program that walks the extracted files keeps a folder open for each level.
_DEEPEST = 256

#: Errors of a file system for a single file that it cannot store, or not by this name.
_REFUSED = (
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.EINVAL,
    errno.EFBIG,
    errno.EOPNOTSUPP,
    errno.EMLINK,
)
#: The same for symlinks: FAT has none, and Linux none without a target.
_REFUSED_LINK = (*_REFUSED, errno.EPERM, errno.ENOENT)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HINT = "Choose another folder with -o."


@dataclass(slots=True)
class Extracted:
    """What was written."""

    files: int = 0  # Files and links.
    folders: int = 0  # New folders.
    size: int = 0  # Bytes; hard links count once, holes not at all.
    #: Paths that were left out, each with the reason.
    skipped: list[tuple[bytes, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Summarizes the counts."""
        counts = ((self.files, "file"), (self.folders, "folder"))
        found = [plural(number, name) for number, name in counts if number]
        return ", ".join([*(found or ["0 files"]), docker_size(self.size)])


def extract(
    loaded: Loaded,
    reader: ImageReader,
    paths: list[bytes],
    target: Path,
    done: Extracted,
    layer: int | None,
    progress: Progress,
) -> None:
    """Writes paths of the merged view, with everything below them, into a folder.

    A path keeps its place: `/etc/nginx` becomes `TARGET/etc/nginx`. Hard links stay links, and
    holes stay holes. Times and modes are kept, but not setuid, setgid and owners, so that an image
    cannot plant files of another user. Devices and fifos are left out, as is what the file system
    cannot store. Existing folders do not change.

    The empty path means everything. `target` is created if it does not exist; files written
    before an error stay, and `done` lists them. `layer` is the top layer, by default the last.

    Raises NotFoundError if a path is not in the image, UsageError if a file to write exists, and
    LayerscopeError if writing failed; no incomplete file is left.
    """
    stack = loaded.stack
    top = stack.height - 1 if layer is None else layer
    rows = _rows(stack, top, [_node(loaded, path, top) for path in paths])
    name = visible(str(target))
    try:
        with _made(target), opened(os.open(target, _FOLDER)) as root:
            job = Writer(stack, reader, root, rows, done, progress)
            try:
                job.check(name)
                job.write()
            finally:
                job.close()
    except OSError as error:
        raise LayerscopeError(failure(error, str(target)), _HINT) from None


@contextmanager
def _made(target: Path) -> Iterator[None]:
    """Creates a folder for the block; removes it if the block fails and wrote nothing."""
    missing = [folder for folder in (target, *target.parents) if not os.path.lexists(folder)]
    try:
        target.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()  # Fails if it is not empty.
        raise


def _node(loaded: Loaded, path: bytes, top: int) -> int:
    if not path:
        return 0
    try:
        row = resolve(loaded.stack, path, top, follow=False)
    except LookupFailedError as error:
        raise NotFoundError(
            f"/{visible(path)}: {error}.", "`layerscope files` lists the paths."
        ) from None
    return int(loaded.stack.nodes[row])


def _rows(stack: Stack, top: int, chosen: list[int]) -> dict[int, int]:
    """The versions of nodes, everything below them and the folders above them, by node."""
    tree = stack.tree
    wanted = np.zeros(len(tree), np.bool_)
    for node in chosen:
        wanted[node : tree.ends[node]] = True
        while node := int(tree.parents[node]):
            wanted[node] = True
    wanted[0] = False
    rows = stack.union(top)
    rows = rows[wanted[stack.nodes[rows]]]
    return dict(zip(stack.nodes[rows].tolist(), rows.tolist(), strict=True))


class Writer:
    """Writes versions, given by node; folders come before their contents.

    Subclasses may override the metadata that is kept and the handling of devices.
    """

    def __init__(
        self,
        stack: Stack,
        reader: ImageReader,
        root: int,
        rows: dict[int, int],
        done: Extracted,
        progress: Progress,
    ) -> None:
        self.stack = stack
        self._tree = stack.tree
        self._reader = reader
        self._root = root
        self._rows = rows
        self._done = done
        self._progress = progress
        self._existing = {0}  # Nodes of the folders that existed before.
        self._opened = (0, os.dup(root))  # The last folder used: its node and descriptor.
        #: By layer, its changeset and the rows of the files to write.
        self._wanted: dict[int, tuple[Changeset, list[int]]] = {}
        self._names: dict[int, list[int]] = {}  # The nodes of each inode, by its row.

    def close(self) -> None:
        os.close(self._opened[1])

    # Before anything is written.

    def check(self, target: str) -> None:
        """Raises UsageError if a file to write exists, LayerscopeError if space is short."""
        if os.listdir(self._root):  # noqa: PTH208 - a descriptor
            self._check_existing()
        needed = dict.fromkeys(
            int(self.stack.inodes[row])
            for row in self._rows.values()
            if self._kind(row) is EntryType.FILE
        )
        sizes = {row: self._stored(row) for row in needed}
        self._progress.total = sum(sizes.values())
        try:
            check_space(self._root, sum(sizes.values()), target, _HINT)
        except LayerscopeError:
            # Files unpacked by an engine may have holes that no layer declares.
            for row in sizes:
                sizes[row] = self._stored(row, located=True)
            check_space(self._root, sum(sizes.values()), target, _HINT)

    def _check_existing(self) -> None:
        for node, row in self._rows.items():
            kind = self._kind(row)
            parent = int(self._tree.parents[node])
            if parent not in self._existing or kind > EntryType.DIR:
                continue
            try:
                name = self._tree.name(node)
                status = os.stat(name, dir_fd=self._folder(parent), follow_symlinks=False)
            except OSError as error:
                if error.errno not in (*_REFUSED, errno.ENOENT):
                    raise
                continue
            if kind is not EntryType.DIR or not stat.S_ISDIR(status.st_mode):
                raise _blocked(self._tree.path(node))
            self._existing.add(node)

    def _stored(self, row: int, *, located: bool = False) -> int:
        place = self.stack.place(row)
        assert place is not None  # noqa: S101 - a regular file has an entry
        if located:
            with suppress(LayerscopeError):
                content = self._reader.located(int(self.stack.layers[row]), *place)
                if content is not None:
                    with closing(content):
                        return content.stored
        return stored_size(*place)

    # Writing.

    def write(self) -> None:
        made: list[tuple[int, int]] = []
        try:
            self._write_tree(made)
            for layer, inner, pieces in self._files():
                self._write_file(self.stack.bases[layer] + inner, pieces)
        finally:
            for node, row in reversed(made):
                # It may have been removed meanwhile.
                with suppress(OSError):
                    self.finish_folder(self._folder(node), row)

    def _write_tree(self, made: list[tuple[int, int]]) -> None:
        """Writes all but regular files, which it collects; `made` receives the new folders."""
        skipped = 0  # All nodes before this one are below a skipped folder.
        for node, row in self._rows.items():
            if node < skipped or node in self._existing:
                continue
            self._progress.check()
            kind = self._kind(row)
            if self._tree.depths[node] > _DEEPEST:
                self._skip(node, "it is nested too deeply")
            elif kind > EntryType.DIR:
                with self._writing(node):
                    self.write_special(node, row, kind, self._folder_of(node))
            elif kind is EntryType.HARDLINK:
                self._skip(node, self.stack.dangling(row))
            elif self._write_node(node, row, kind):
                if kind is EntryType.DIR:
                    made.append((node, row))
                continue
            skipped = int(self._tree.ends[node])

    def _write_node(self, node: int, row: int, kind: EntryType) -> bool:
        name = self._tree.name(node)
        with self._writing(node):
            folder = self._folder_of(node)
            if kind is EntryType.DIR:
                os.mkdir(name, 0o700, dir_fd=folder)
                self._done.folders += 1
            elif kind is EntryType.SYMLINK:
                target = self.stack.link(int(self.stack.inodes[row])) or b""
                os.symlink(target, name, dir_fd=folder)
                self._done.files += 1
                self.finish_special(name, row, folder)
            else:
                self._note_file(node, row, name, folder)
            return True
        return False

    def _note_file(self, node: int, row: int, name: bytes, folder: int) -> None:
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        inode = int(self.stack.inodes[row])
        if inode not in self._names:
            place = self.stack.place(inode)
            assert place is not None  # noqa: S101 - a regular file has an entry
            changeset, inner = place
            layer = int(self.stack.layers[inode])
            self._wanted.setdefault(layer, (changeset, []))[1].append(inner)
        self._names.setdefault(inode, []).append(node)

    def _files(self) -> Iterator[tuple[int, int, Iterator[Piece]]]:
        with closing(passed(self._reader, self._wanted)) as files:
            yield from files

    def _write_file(self, row: int, pieces: Iterator[Piece]) -> None:
        """Writes a file, and links its other names to it."""
        first, *others = self._names[row]
        name = self._tree.name(first)
        before = self._done.size
        with self._writing(first), ExitStack() as stack:
            folder = stack.enter_context(opened(os.dup(self._folder_of(first))))
            with whole_file(name, folder=folder) as fd:
                copy = stack.enter_context(opened(os.dup(fd)))
                stored = write_pieces(
                    fd, pieces, lambda stored: self._progress.advance(before + stored)
                )
                self.finish_file(fd, row)
            self._done.files += 1
            self._done.size += stored
            for node in others:
                with self._writing(node):
                    self._link(folder, name, copy, node)
            return
        for node in others:
            self._skip(node, f"it is a hard link to /{visible(self._tree.path(first))}")

    def _link(self, folder: int, name: bytes, copy: int, node: int) -> None:
        """Links a node to a file, which is also open; copies the file if linking fails."""
        own, own_name = self._folder_of(node), self._tree.name(node)
        try:
            os.link(name, own_name, src_dir_fd=folder, dst_dir_fd=own, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (*NO_LINKS, errno.EMLINK):
                raise
            with (
                closing(Located.of_file(os.dup(copy), "")) as content,
                whole_file(own_name, folder=own) as fd,
            ):
                self._done.size += write_pieces(fd, pieces_of(content))
                self.finish_file(fd, self._rows[node])
        self._done.files += 1

    # What else is kept.

    def write_special(self, node: int, row: int, kind: EntryType, folder: int) -> None:
        """Writes a device or a fifo."""
        self._skip(node, f"a {kind.noun} is not extracted")

    def finish_file(self, fd: int, row: int) -> None:
        os.fchmod(fd, int(self.stack.modes[row]) & 0o777)
        os.utime(fd, self.times(row))

    def finish_special(self, name: bytes, row: int, folder: int) -> None:
        """Finishes a symlink."""
        os.utime(name, self.times(row), dir_fd=folder, follow_symlinks=False)

    def finish_folder(self, fd: int, row: int) -> None:
        os.fchmod(fd, int(self.stack.modes[row]) & 0o1777 | 0o700)
        os.utime(fd, self.times(row))

    @contextmanager
    def _writing(self, node: int) -> Iterator[None]:
        """Skips a node that the file system rejects."""
        try:
            yield
        except FileExistsError:
            raise _blocked(self._tree.path(node)) from None
        except OSError as error:
            kind = self._kind(self._rows[node])
            if error.errno not in (_REFUSED_LINK if kind is EntryType.SYMLINK else _REFUSED):
                raise
            self._skip(node, f"it cannot be written here ({error.strerror})")

    def _skip(self, node: int, why: str) -> None:
        self._done.skipped.append((self._tree.path(node), why))

    def _folder_of(self, node: int) -> int:
        """The folder of a node, open until the next call."""
        return self._folder(int(self._tree.parents[node]))

    def _folder(self, node: int) -> int:
        """A folder, open until the next call."""
        last, fd = self._opened
        if last != node:
            parts = self._tree.path(node).split(b"/") if node else []
            self._opened = (node, open_folder_below(self._root, parts))
            os.close(fd)
        return self._opened[1]

    def _kind(self, row: int) -> EntryType:
        return EntryType(int(self.stack.types[row]))

    def times(self, row: int) -> tuple[int, int]:
        return (max(0, int(self.stack.mtimes[row])),) * 2


def _blocked(path: bytes) -> UsageError:
    return UsageError(f"{visible(path)} already exists, and nothing is overwritten.", _HINT)
