"""What a layer's entries leave of each other, where some of them undo earlier ones.

A tar may have a path twice, a file and later entries below it, a hard link to a path that it then
replaces, or a symlink and later entries whose names lead through it. Engines unpack such a layer
into a folder of its own, entry by entry; here the same is done with names alone: rows get the path
that they come to lie at, and rows that leave nothing are dropped. Nearly no layer has any.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

import numpy as np

from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.layer_links import LayerLinks
from layerscope.filesystem.tree import MOST_IMPLIED

_T = TypeVar("_T")

_DIR, _HARDLINK, _SYMLINK = EntryType.DIR, EntryType.HARDLINK, EntryType.SYMLINK
_WHITEOUT, _OPAQUE = EntryType.WHITEOUT, EntryType.OPAQUE


def settle(changeset: Changeset, skip: int | None = None) -> Changeset:
    """Drops the rows of a changeset that later ones undo, and follows symlinks in their paths.

    Args:
        changeset: Entries in the order of the tar; may be changed.
        skip: The kind of rows that mean nothing, and are to be dropped too.

    Raises:
        TarError: A path leads through symlinks in a circle.
    """
    paths = changeset.paths()
    kinds: list[int] = changeset.kinds.tolist()
    marked = {(path, kind) for path, kind in zip(paths, kinds, strict=True) if kind >= _WHITEOUT}
    if marked:
        pairs = zip(paths, kinds, strict=True)
        kind_of = {path: kind for path, kind in pairs if kind < _WHITEOUT}
    else:
        kind_of = dict(zip(paths, kinds, strict=True))
    above = _folders_above(kind_of)
    if above is None:
        return changeset  # Out of proportion: the tree of all paths is going to refuse it.
    undone = any(kind_of.get(path, _DIR) != _DIR for path in above)
    if skip is None and not undone and len(kind_of) + len(marked) == len(paths):
        if not (changeset.kinds == _SYMLINK).any():
            return changeset
        # What whiteouts and hard links name may lead through symlinks just as well.
        named = {path for path, kind in marked if kind == _OPAQUE}
        named |= {path.rpartition(b"/")[0] for path, kind in marked if kind != _OPAQUE}
        links = changeset.links.items()
        named |= {path.rpartition(b"/")[0] for row, path in links if kinds[row] == _HARDLINK}
        named -= above
        if not _lead_through(named, kind_of):
            return changeset
    folder = _Folder(changeset, paths, kinds)
    marks: dict[tuple[bytes, int], int] = {}
    for row, kind in enumerate(kinds):
        if kind == skip:
            continue
        if kind >= _WHITEOUT:
            marks[folder.place(row), kind] = row
        else:
            folder.unpack(row)
    folder.bequeath()
    keep = sorted([*folder.rows.values(), *marks.values()])
    if len(keep) == len(paths) and not folder.moved:
        return changeset
    return take_rows(changeset, paths, keep)


def _folders_above(paths: Collection[bytes]) -> set[bytes] | None:
    """All folders above some paths, or None if those that are not among them are far too many."""
    found: set[bytes] = set()
    implied = 0
    new = {path.rpartition(b"/")[0] for path in paths}
    while new:
        found |= new
        implied += sum(len(path) for path in new if path not in paths)
        if implied > MOST_IMPLIED:
            return None
        new = {path.rpartition(b"/")[0] for path in new} - found
    return found


def _lead_through(folders: Iterable[bytes], kind_of: dict[bytes, int]) -> bool:
    """Whether some folders, or those above them, are something else by the entries of a layer."""
    seen: set[bytes] = set()
    size = 0
    new = set(folders)
    while new:
        if any(kind_of.get(path, _DIR) != _DIR for path in new):
            return True
        size += sum(map(len, new))
        if size > MOST_IMPLIED:
            return True  # Nobody knows; the long way round finds out.
        seen |= new
        new = {path.rpartition(b"/")[0] for path in new} - seen
    return False


class _Folder:
    """The folder into which a layer is unpacked.

    Attributes:
        rows: The row that each path shows; folders that no entry names are not among them.
        moved: Whether a row lies elsewhere than its name says: behind a symlink.
    """

    def __init__(self, changeset: Changeset, paths: list[bytes], kinds: list[int]) -> None:
        self.rows: dict[bytes, int] = {}
        self.moved = False
        self._changeset = changeset
        self._paths = paths
        self._kinds = kinds
        self._inodes = list(range(len(paths)))
        # What is in each folder, whether an entry names it or not.
        self._children: dict[bytes, set[bytes]] = {b"": set()}
        self._links = LayerLinks(len(paths))

    def place(self, row: int) -> bytes:
        """Where a row comes to lie: its path, with the symlinks that lead there followed."""
        path = self._paths[row]
        # An opaque whiteout is a file in the folder that it is about.
        real = self._real(path, row) if self._kinds[row] == _OPAQUE else self._follow(path, row)
        if real is not path:
            self._paths[row] = real
            self.moved = True
        return real

    def unpack(self, row: int) -> None:
        """Unpacks an entry."""
        path, kind = self.place(row), self._kinds[row]
        if path:
            self._make_parents(path)
        if kind == _HARDLINK:
            name = self._changeset.links.get(row, b"")
            real = self._follow(name, row)
            if real is not name:
                self._changeset.links[row] = real
            target = self.rows.get(real)
            if target is not None and self._kinds[self._inodes[target]] != _DIR:
                self._link(row, self._inodes[target])
        if kind != _DIR:
            self._remove(path)
        else:
            if path in self.rows and path not in self._children:
                self._remove(path)
            self._children.setdefault(path, set())
        self.rows[path] = row
        inode = self._inodes[row]
        if self._kinds[inode] == _SYMLINK:
            self._links.add(path, self._changeset.links.get(inode, b""))

    def bequeath(self) -> None:
        """Lets the first of the hard links to a file that lost its own name stand for it."""
        changeset, paths = self._changeset, self._paths
        heirs: dict[int, int] = {}
        for row in sorted(self.rows.values()):
            inode = self._inodes[row]
            if inode == row:
                continue
            _copy_attributes(changeset, row, inode)
            if self.rows.get(paths[inode]) == inode:
                changeset.links[row] = paths[inode]
            elif inode in heirs:
                changeset.links[row] = paths[heirs[inode]]
            else:
                heirs[inode] = row
                self._inherit(row, inode)

    def _link(self, row: int, inode: int) -> None:
        """Makes a row a name of an inode, which gets what the link's header says."""
        self._inodes[row] = inode
        _copy_attributes(self._changeset, inode, row)

    def _inherit(self, row: int, inode: int) -> None:
        changeset = self._changeset
        for column in (
            changeset.kinds,
            changeset.modes,
            changeset.sizes,
            changeset.mtimes,
            changeset.header_offsets,
            changeset.data_offsets,
        ):
            column[row] = column[inode]
        if changeset.digests is not None:
            changeset.digests[row] = changeset.digests[inode]
        changeset.links.pop(row, None)
        _copy(changeset.links, row, inode)
        _copy(changeset.devices, row, inode)
        _copy(changeset.xattrs, row, inode)
        _copy(changeset.sparse, row, inode)

    def _follow(self, path: bytes, row: int) -> bytes:
        """A path with the symlinks that lead to it followed, itself if there are none."""
        folder, slash, name = path.rpartition(b"/")
        if not slash:
            return path
        real = self._real(folder, row)
        if real is folder:
            return path
        return real + slash + name if real else name

    def _real(self, folder: bytes, row: int) -> bytes:
        if folder in self._children:
            return folder
        return self._links.follow(folder, int(self._changeset.header_offsets[row]))

    def _make_parents(self, path: bytes) -> None:
        """Makes folders above a path, in place of whatever else is there."""
        name = path
        while name:
            parent = name.rpartition(b"/")[0]
            siblings = self._children.get(parent)
            if siblings is not None:
                siblings.add(name)
                return
            if self.rows.pop(parent, None) is not None:
                self._links.discard(parent)
            self._children[parent] = {name}
            name = parent

    def _remove(self, path: bytes) -> None:
        """Removes a path and all below it."""
        pending = [path]
        while pending:
            gone = pending.pop()
            if self.rows.pop(gone, None) is not None:
                self._links.discard(gone)
            pending += self._children.pop(gone, ())


def _copy_attributes(changeset: Changeset, row: int, source: int) -> None:
    """Copies owner, mode and time, but the owner alone if either row is a symlink."""
    changeset.uids[row], changeset.gids[row] = changeset.uids[source], changeset.gids[source]
    if EntryType.SYMLINK not in (changeset.kinds[row], changeset.kinds[source]):
        changeset.modes[row] = changeset.modes[source]
        changeset.mtimes[row] = changeset.mtimes[source]


def _copy(values: dict[int, _T], row: int, source: int) -> None:
    if source in values:
        values[row] = values[source]


def take_rows(changeset: Changeset, paths: list[bytes], keep: list[int]) -> Changeset:
    """A changeset with some of the rows of another."""
    rows = np.array(keep, np.int64)
    place = {old: new for new, old in enumerate(keep)}
    return Changeset(
        path_blob=b"\0".join(paths[row] for row in keep),
        kinds=changeset.kinds[rows],
        modes=changeset.modes[rows],
        uids=changeset.uids[rows],
        gids=changeset.gids[rows],
        sizes=changeset.sizes[rows],
        mtimes=changeset.mtimes[rows],
        header_offsets=changeset.header_offsets[rows],
        data_offsets=changeset.data_offsets[rows],
        links={place[row]: v for row, v in changeset.links.items() if row in place},
        devices={place[row]: v for row, v in changeset.devices.items() if row in place},
        xattrs={place[row]: v for row, v in changeset.xattrs.items() if row in place},
        sparse={place[row]: v for row, v in changeset.sparse.items() if row in place},
        digests=None if changeset.digests is None else changeset.digests[rows],
    )
