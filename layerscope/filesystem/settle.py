"""Settles layers in which later entries undo or move earlier ones, which is rare.

A tar may contain a path twice, a file and later entries below it, a hard link to a path that it
then replaces, or a symlink and later entries whose names lead through it. Engines unpack such a
layer entry by entry into an empty folder; this module does the same with names only. Rows get their
final path, and rows without effect are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, compress
from operator import itemgetter, methodcaller

import numpy as np

from layerscope.filesystem.changeset import (
    COLUMNS,
    SPARSE_COLUMNS,
    Bool,
    Changeset,
    EntryType,
    Int64,
    UInt8,
    hashes,
)
from layerscope.filesystem.tree import MOST_IMPLIED
from layerscope.oci.tar_extended import MAX_PATH
from layerscope.oci.tar_header import TarError
from layerscope.text import visible

_DIR, _HARDLINK, _SYMLINK = EntryType.DIR, EntryType.HARDLINK, EntryType.SYMLINK
_WHITEOUT, _OPAQUE = EntryType.WHITEOUT, EntryType.OPAQUE

_NONE = 255

#: The most links that containerd follows for one file; Linux allows 40.
MOST_LINKS = 255

#: The most components that are followed in a layer, plus more for each entry.
_STEPS, _STEPS_EACH = 1 << 24, 64


def settle(changeset: Changeset, skip: int | None = None) -> Changeset:
    """Drops rows that later ones undo, and follows symlinks in paths.

    The changeset has its entries in tar order, and may be changed. `skip` is the kind of
    additional rows to drop.

    Raises TarError if a path leads through a loop of symlinks.
    """
    settled = _is_settled(changeset)
    if settled is None or (settled and skip is None):
        return changeset
    paths = changeset.paths()
    kinds: list[int] = changeset.kinds.tolist()
    folder = _Folder(changeset, paths, kinds)
    marks: dict[tuple[bytes, int], int] = {}
    for row, kind in enumerate(kinds):
        if kind == skip:
            continue
        if kind >= _WHITEOUT:
            marks[folder.place(row), kind] = row
        else:
            folder.unpack(row)
            if kind == _DIR:
                # A whiteout is a device file that the folder replaces: it merges with the folder of
                # lower layers. All engines do so, contrary to the specification.
                marks.pop((paths[row], _WHITEOUT), None)
    folder.bequeath()
    keep = sorted([*folder.rows.values(), *marks.values()])
    if len(keep) == len(paths) and not folder.moved:
        return changeset
    return changeset.take(np.array(keep, np.int64), paths)


def _is_settled(changeset: Changeset) -> bool | None:
    """Whether no entry undoes or moves another one.

    None if paths imply far too many folders: the tree of all paths will reject them.
    """
    kinds = changeset.kinds
    real, opaque, removed = kinds < _WHITEOUT, kinds == _OPAQUE, kinds == _WHITEOUT
    own = hashes(chain.from_iterable(changeset.pieces()), len(kinds))
    entries = _Kinds(own[real], kinds[real])
    outcome = _are_folders(_all_above(_those(changeset, real)), entries)
    if not outcome:
        return outcome
    if entries.repeated or any(
        _Kinds(own[each], kinds[each]).repeated for each in (opaque, removed)
    ):
        return False
    # `np.isin` would make numpy import another part of itself.
    if not set(own[removed].tolist()).isdisjoint(own[kinds == _DIR].tolist()):
        return False
    if not (kinds == _SYMLINK).any():
        return True
    # Paths in whiteouts and hard links may lead through symlinks too.
    named = set(_those(changeset, opaque))
    named.update(_all_above(_those(changeset, removed)))
    links = changeset.links.items()
    named.update(_all_above(path for row, path in links if kinds[row] == _HARDLINK))
    return _are_folders(named, entries) is True


def _those(changeset: Changeset, wanted: Bool) -> Iterator[bytes]:
    """The paths of some rows."""
    if not wanted.any():
        return iter(())
    flags = iter(wanted.tolist())
    return chain.from_iterable(compress(piece, flags) for piece in changeset.pieces())


def _all_above(paths: Iterable[bytes]) -> set[bytes]:
    """The folders above paths, without a Python frame for each path."""
    return set(map(itemgetter(0), map(methodcaller("rpartition", b"/"), paths)))


def _are_folders(new: set[bytes], entries: _Kinds) -> bool | None:
    """Whether some paths and all paths above them are folders.

    None if far too many of them have no entry.
    """
    implied = 0
    seen: set[bytes] = set()
    while new:
        ordered = list(new)
        kinds = entries.kinds(ordered)
        if ((kinds != _DIR) & (kinds != _NONE)).any():
            return False
        missing = np.flatnonzero(kinds == _NONE).tolist()
        implied += sum(len(ordered[place]) for place in missing)
        if implied > MOST_IMPLIED:
            return None
        seen |= new
        new = _all_above(new) - seen
    return True


class _Kinds:
    """The kinds of entries, found by the hashes of their paths."""

    def __init__(self, own: Int64, kinds: UInt8) -> None:
        order = np.argsort(own)
        self._hashes, self._kinds = own[order], kinds[order]

    @property
    def repeated(self) -> bool:
        """Whether a path may occur twice."""
        return bool((self._hashes[1:] == self._hashes[:-1]).any())

    def kinds(self, paths: list[bytes]) -> UInt8:
        """The kind at each path, or `_NONE`; rarely a wrong one for a path without an entry."""
        wanted = hashes(paths, len(paths))
        found: UInt8 = np.full(len(paths), _NONE, np.uint8)
        if len(self._hashes):
            place = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
            there = self._hashes[place] == wanted
            found[there] = self._kinds[place[there]]
        return found


class _Folder:
    """The folder that a layer is unpacked into."""

    def __init__(self, changeset: Changeset, paths: list[bytes], kinds: list[int]) -> None:
        self.rows: dict[bytes, int] = {}  # The row at each path that has an entry.
        self.moved = False  # Whether a symlink moved a row.
        self._changeset = changeset
        self._paths = paths
        self._kinds = kinds
        self._inodes = list(range(len(paths)))
        # The children of each folder, whether it has an entry or not.
        self._children: dict[bytes, set[bytes]] = {b"": set()}
        self._links = LayerLinks(len(paths))

    def place(self, row: int) -> bytes:
        """The final path of a row, with symlinks followed."""
        path = self._paths[row]
        # An opaque whiteout is a file in the folder it applies to.
        real = self._real(path, row) if self._kinds[row] == _OPAQUE else self._follow(path, row)
        if real is not path:
            self._paths[row] = real
            self.moved = True
        return real

    def unpack(self, row: int) -> None:
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
        """Turns the first hard link to a file that lost its own name into the file."""
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
        """Makes a row a name of an inode, which takes the attributes from the link's header."""
        self._inodes[row] = inode
        _copy_attributes(self._changeset, inode, row)

    def _inherit(self, row: int, inode: int) -> None:
        changeset = self._changeset
        # `_copy_attributes` has handled the owner.
        for name in set(COLUMNS) - {"uids", "gids"}:
            column = getattr(changeset, name)
            column[row] = column[inode]
        if changeset.digests is not None:
            changeset.digests[row] = changeset.digests[inode]
        changeset.links.pop(row, None)
        for name in SPARSE_COLUMNS:
            values = getattr(changeset, name)
            if inode in values:
                values[row] = values[inode]

    def _follow(self, path: bytes, row: int) -> bytes:
        """Resolves the symlinks in a path; returns the same object if it has none."""
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
        """Turns the parents of a path into folders, whatever they were before."""
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
        pending = [path]
        while pending:
            gone = pending.pop()
            if self.rows.pop(gone, None) is not None:
                self._links.discard(gone)
            pending += self._children.pop(gone, ())


def _copy_attributes(changeset: Changeset, row: int, source: int) -> None:
    """Copies owner, mode and time; only the owner if either row is a symlink."""
    changeset.uids[row], changeset.gids[row] = changeset.uids[source], changeset.gids[source]
    if EntryType.SYMLINK not in (changeset.kinds[row], changeset.kinds[source]):
        changeset.modes[row] = changeset.modes[source]
        changeset.mtimes[row] = changeset.mtimes[source]


class LayerLinks:
    """The symlinks in a layer so far, which names of its later entries may lead through.

    Their root is the folder that engines unpack a layer into: `..` and a leading slash lead no
    higher, and missing folders that a link points to are created. Where engines differ, this
    follows containerd (continuity, `fs.RootPath`): older ones reject a link that dangles or points
    into a lower layer, Docker 28 one that climbs above the root; all reject a cycle.
    """

    def __init__(self, entries: int) -> None:
        self._targets: dict[bytes, bytes] = {}
        # Cached results, until a link is added or removed.
        self._known: dict[bytes, bytes] = {}
        self._steps = _STEPS + _STEPS_EACH * entries
        self._growth = MOST_IMPLIED

    def add(self, path: bytes, target: bytes) -> None:
        self._targets[path] = target
        self._known.clear()

    def discard(self, path: bytes) -> None:
        if self._targets.pop(path, None) is not None:
            self._known.clear()

    def follow(self, folder: bytes, offset: int) -> bytes:
        """Resolves the links in a folder's path; returns the same object if it has none.

        `folder` is the path, without leading and trailing slashes.

        Raises TarError if it leads through a loop, or through far too many links.
        """
        if not self._targets or len(folder) > MAX_PATH:
            return folder
        real = self._known.get(folder)
        if real is None:
            real = self._known[folder] = self._walk(folder, offset)
        self._growth -= max(0, len(real) - len(folder))
        if self._growth < 0:
            raise TarError(offset, "the layer has too many names that lead through symbolic links")
        return folder if real == folder else real

    def _walk(self, folder: bytes, offset: int) -> bytes:
        at = b""
        links = 0
        pending = folder.split(b"/")[::-1]
        while pending:
            part = pending.pop()
            self._steps -= 1
            if part == b"..":
                at = at.rpartition(b"/")[0]
            elif part not in (b"", b"."):
                name = at + b"/" + part if at else part
                target = self._targets.get(name)
                if target is None:
                    at = name
                    continue
                links += 1
                if links > MOST_LINKS:
                    problem = "leads through a loop of symbolic links"
                    raise TarError(offset, f"the name {visible(folder)} {problem}")
                if len(target) > MAX_PATH or len(at) > MAX_PATH or self._steps < 0:
                    problem = "leads through symbolic links that no engine would follow"
                    raise TarError(offset, f"the name {visible(folder)} {problem}")
                if target.startswith(b"/"):
                    at = b""
                pending += target.split(b"/")[::-1]
        return at
