"""Unpacks a layer into a folder for overlayfs, or a whole image into a working tree.

Writes files as `extract` does, so nothing leaves the folder. But it also sets owners, setuid,
devices and attributes as far as this user may; it returns those that only root in a namespace can
set.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images.files.extract import Extracted, Writer
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.oci.byte_source import opened
from layerscope.sandbox.task import Left
from layerscope.writing import failure

CAPABILITY = b"security.capability"
_FORMATS = {
    EntryType.CHAR: stat.S_IFCHR,
    EntryType.BLOCK: stat.S_IFBLK,
    EntryType.FIFO: stat.S_IFIFO,
}


@dataclass(frozen=True, slots=True)
class Rights:
    """The attributes that this process may set on the files that it writes."""

    root: bool  # Whether it may set all attributes.
    ids: int = 0  # Ids below this can be set later, in the namespace.

    @property
    def marks(self) -> str:
        """The prefix of overlayfs attributes."""
        return "trusted.overlay." if self.root else "user.overlay."

    def keeps(self, uid: int, gid: int) -> bool:
        return self.root or max(uid, gid) < self.ids


def self_contained(stack: Stack, layer: int) -> bool:
    """Whether a layer's folder needs no lower layer: no hard link, no missing parent."""
    rows = stack.rows(layer)
    inodes = stack.inodes[rows.start : rows.stop]
    if (inodes < rows.start).any():
        return False
    own = set(stack.nodes[stack.changed(layer)].tolist())
    parents = set(stack.tree.parents[np.array(sorted(own), np.int64)].tolist())
    return parents <= own | {0, -1}


def unpack_layer(
    stack: Stack, reader: ImageReader, layer: int, target: Path, rights: Rights, progress: Progress
) -> list[Left]:
    """Writes a layer into an empty folder; returns the attributes left to set.

    Raises LayerscopeError if it cannot be read or written.
    """
    own = stack.changed(layer)
    nodes, kinds = stack.nodes[own], stack.kinds[own]
    rows = _visible(stack, layer, set(nodes.tolist()))
    hidden = set(nodes[kinds == EntryType.WHITEOUT].tolist()) - rows.keys()
    opaque = set(nodes[kinds == EntryType.OPAQUE].tolist()) & rows.keys()
    return _write(stack, reader, rows, target, rights, progress, hidden, opaque)


def unpack_merged(
    stack: Stack, reader: ImageReader, target: Path, rights: Rights, progress: Progress
) -> list[Left]:
    """Like `unpack_layer`, for the merged view of all layers."""
    top = stack.height - 1
    rows = _visible(stack, top, None)
    return _write(stack, reader, rows, target, rights, progress, set(), set())


def _visible(stack: Stack, layer: int, only: set[int] | None) -> dict[int, int]:
    """Returns visible versions of nodes and their parents, by node; by default, of all."""
    rows = stack.union(layer)
    nodes = stack.nodes[rows]
    chosen = nodes != 0
    if only is not None:
        wanted = np.zeros(len(stack.tree), np.bool_)
        for node in only:
            while node > 0 and not wanted[node]:
                wanted[node] = True
                node = int(stack.tree.parents[node])
        chosen &= wanted[nodes]
    return dict(zip(nodes[chosen].tolist(), rows[chosen].tolist(), strict=True))


def _write(
    stack: Stack,
    reader: ImageReader,
    rows: dict[int, int],
    target: Path,
    rights: Rights,
    progress: Progress,
    hidden: set[int],
    opaque: set[int],
) -> list[Left]:
    progress.total = int(stack.sizes[np.array(list(rows.values()), np.int64)].sum())
    try:
        with opened(os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            writer = _Unpacker(stack, reader, root, rows, progress, rights, hidden, opaque)
            try:
                writer.write()
            finally:
                writer.close()
    except OSError as error:
        raise LayerscopeError(failure(error, str(target))) from None
    return writer.left


class _Unpacker(Writer):
    def __init__(
        self,
        stack: Stack,
        reader: ImageReader,
        root: int,
        rows: dict[int, int],
        progress: Progress,
        rights: Rights,
        hidden: set[int],
        opaque: set[int],
    ) -> None:
        super().__init__(stack, reader, root, rows, Extracted(), progress)
        self.left: list[Left] = []
        self._rights = rights
        self._hidden = hidden
        self._opaque = opaque

    def _write_tree(self, made: list[tuple[int, int]]) -> None:
        super()._write_tree(made)
        for node in sorted(self._hidden):
            name = self._tree.name(node)
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=self._folder_of(node))
        for node in sorted(self._opaque):
            os.setxattr(self._folder(node), self._rights.marks + "opaque", b"y")

    def write_special(self, node: int, row: int, kind: EntryType, folder: int) -> None:
        if kind is not EntryType.FIFO and not self._rights.root:
            self._skip(node, "only root can make a device")
            return
        name = self._tree.name(node)
        device = os.makedev(*(self.stack.device(row) or (0, 0)))
        os.mknod(name, _FORMATS[kind] | 0o600, device, dir_fd=folder)
        mode = int(self.stack.modes[row])
        self._give_owner(name, row, folder, mode)
        os.chmod(name, mode, dir_fd=folder)
        os.utime(name, self.times(row), dir_fd=folder, follow_symlinks=False)

    def finish_special(self, name: bytes, row: int, folder: int) -> None:
        self._give_owner(name, row, folder, -1)
        super().finish_special(name, row, folder)

    def finish_file(self, fd: int, row: int) -> None:
        self._finish(fd, row)

    def finish_folder(self, fd: int, row: int) -> None:
        self._finish(fd, row)

    def _finish(self, fd: int, row: int) -> None:
        mode = int(self.stack.modes[row])
        capability = b""
        own = self.stack.xattrs(row)
        if self._rights.root:
            os.fchown(fd, int(self.stack.uids[row]), int(self.stack.gids[row]))
        os.fchmod(fd, mode)
        for name, value in own.items():
            if name.startswith(b"user.") and not name.startswith(b"user.overlay."):
                os.setxattr(fd, name, value)
            elif name == CAPABILITY:
                capability = value
                if self._rights.root:
                    os.setxattr(fd, name, value)
        os.utime(fd, self.times(row))
        self._note(row, mode, capability)

    def _give_owner(self, name: bytes, row: int, folder: int, mode: int) -> None:
        if self._rights.root:
            uid, gid = int(self.stack.uids[row]), int(self.stack.gids[row])
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        self._note(row, mode, b"")

    def _note(self, row: int, mode: int, capability: bytes) -> None:
        """Notes attributes left to set in the namespace."""
        if self._rights.root:
            return
        uid, gid = int(self.stack.uids[row]), int(self.stack.gids[row])
        if not self._rights.keeps(uid, gid):
            uid = gid = 0
        if uid or gid or capability:
            # For a hard link, the first written name.
            node = self._names.get(row, [int(self.stack.nodes[row])])[0]
            path = os.fsdecode(self._tree.path(node))
            self.left.append(Left(path, uid, gid, mode, capability.hex()))
