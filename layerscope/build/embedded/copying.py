"""COPY and ADD: which entries a step writes into its layer.

Destinations and existing files are handled as in Docker's classic builder: it copies a folder's
content, follows a symlink in the destination within the image, creates missing parents with mode
0755, and replaces anything in the way of a copied file or folder.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from layerscope.build.embedded.metadata import StepError
from layerscope.build.embedded.picked import EPOCH, Copy, Picked
from layerscope.build.embedded.sources import FOLDER, Node, Pieces, resolve
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.text import decode, visible


@dataclass(frozen=True, slots=True)
class Written:
    """The entries of a layer, with the contents of its files."""

    changeset: Changeset
    contents: Mapping[int, Callable[[], Pieces]]  # By row.

    def content(self, row: int) -> Pieces:
        return self.contents[row]() if row in self.contents else ()


def written(copy: Copy) -> Written:
    """Returns the entries that a copy writes. Raises StepError if it is not possible."""
    entries = _Entries(copy)
    wanted, folder = posixpath.normpath(copy.destination), copy.destination.endswith("/")
    real, node = resolve(copy.view, wanted.encode("utf-8", "surrogateescape"))
    folder = folder or (node is not None and node.is_folder)
    for picked in copy.picked:
        entries.add(picked, real, folder=folder)
    return entries.finish()


class _Entries:
    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._found: dict[bytes, Node] = {}
        self._folders = {b""}  # Existing or written ones.
        self._excludes = bool(copy.excluded.patterns)

    def add(self, picked: Picked, real: bytes, *, folder: bool) -> None:
        if self._copy.parents:
            self._add_parents(picked, real)
        elif picked.spread:
            self._add_folder(picked, real)
        elif not self._excluded(picked.name):
            path = _join(real, picked.name) if folder else real
            if not path:
                raise StepError("The root folder cannot become a file.", "Name a folder: /.")
            # Parent folders of a file get its owner.
            self._make(path.rpartition(b"/")[0], self._copy.owner or (0, 0))
            self._put(path, self._changed(picked.node))

    def _add_folder(self, picked: Picked, real: bytes) -> None:
        above = real.rpartition(b"/")[0]
        self._make(above, (0, 0))
        there = self._copy.view.find(real) if real else FOLDER
        if there is not None and not there.is_folder:
            raise StepError(f"{visible(b'/' + real)} is not a folder, and cannot take one.")
        if real not in self._folders and there is None:
            owner = (0, 0) if picked.archive else self._copy.owner or (0, 0)
            mode = FOLDER.mode if picked.archive else self._copy.folder_mode
            self._put(real, FOLDER._replace(mode=mode, uid=owner[0], gid=owner[1]))
        self._folders.add(real)
        if picked.archive:
            self._add_archive(picked, real)
            return
        start = real + b"/" if real else b""
        for path, node in picked.source.below(picked.path):
            if self._excludes:
                if self._excluded(path):
                    continue
                # A folder may be excluded, but not everything in it.
                self._make((start + path).rpartition(b"/")[0], self._copy.owner or (0, 0))
            self._put(start + path, self._changed(node))

    def _add_archive(self, picked: Picked, real: bytes) -> None:
        start = real + b"/" if real else b""
        for path, node in picked.source.below(picked.path):
            above, _, name = (start + path).rpartition(b"/")
            if above not in self._folders:
                # The image may have a symlink there, which the archive does not replace.
                above, _ = resolve(self._copy.view, above)
                self._make(above, (0, 0))
            self._put(_join(above, name), node)

    def _add_parents(self, picked: Picked, real: bytes) -> None:
        """Copies a source with its parent folders, as they are in the source."""
        owner = self._copy.owner or (0, 0)
        self._make(real, owner)
        for above, folder in picked.above:
            if _join(real, above) not in self._folders:
                self._put(_join(real, above), self._changed(folder))
        own = _join(picked.above[-1][0] if picked.above else b"", picked.name)
        if own and not self._excluded(own):
            self._put(_join(real, own), self._changed(picked.node))
        if picked.spread:
            for path, node in picked.source.below(picked.path):
                inner = _join(own, path)
                if not self._excluded(inner):
                    self._make(_join(real, inner).rpartition(b"/")[0], owner)
                    self._put(_join(real, inner), self._changed(node))

    def _excluded(self, path: bytes) -> bool:
        return self._excludes and self._copy.excluded.ignores(decode(path)) is not None

    def _changed(self, node: Node) -> Node:
        copy = self._copy
        if copy.owner is not None:
            node = node._replace(uid=copy.owner[0], gid=copy.owner[1])
        if copy.mode is not None and node.kind != EntryType.SYMLINK:
            node = node._replace(mode=copy.mode(node.mode, node.is_folder))
        return node

    def _make(self, path: bytes, owner: tuple[int, int]) -> None:
        """Creates a folder and its parents unless they exist."""
        missing = []
        while path not in self._folders:
            if path not in self._found:
                node = self._copy.view.find(path)
                if node is not None and not node.is_folder:
                    raise StepError(f"{visible(b'/' + path)} is not a folder.")
                if node is None:
                    missing.append(path)
                else:
                    self._folders.add(path)
            elif not self._found[path].is_folder:
                raise StepError(f"{visible(b'/' + path)} is not a folder.")
            else:
                self._folders.add(path)
            path = path.rpartition(b"/")[0]
        for each in reversed(missing):
            mode = self._copy.folder_mode
            self._put(each, FOLDER._replace(mode=mode, uid=owner[0], gid=owner[1], mtime=EPOCH))

    def _put(self, path: bytes, node: Node) -> None:
        old = self._found.get(path)
        if node.is_folder:
            self._folders.add(path)
        elif old is not None and old.is_folder:
            # A later source replaces a folder.
            start = path + b"/"
            for each in [each for each in self._found if each.startswith(start)]:
                del self._found[each]
            self._folders = {
                each for each in self._folders if each != path and not each.startswith(start)
            }
        self._found[path] = node

    def _add_above(self) -> None:
        """Adds existing parent folders unchanged, since engines would recreate them."""
        for path in list(self._found):
            while (path := path.rpartition(b"/")[0]) and path not in self._found:
                there = self._copy.view.find(path)
                if there is not None:
                    self._found[path] = there

    def finish(self) -> Written:
        self._add_above()
        # Sorts the slash first, so that a folder's content follows it.
        ordered = sorted(self._found.items(), key=lambda found: found[0].replace(b"/", b"\0"))
        paths = [path for path, _ in ordered]
        nodes = [node for _, node in ordered]
        changeset = Changeset.empty() if not paths else columns(paths, nodes)
        contents: dict[int, Callable[[], Pieces]] = {}
        first: dict[object, int] = {}
        for row, node in enumerate(nodes):
            if node.inode is not None:
                earlier = first.setdefault(node.inode, row)
                if earlier != row:
                    changeset.kinds[row] = EntryType.HARDLINK
                    changeset.sizes[row] = 0
                    changeset.links[row] = paths[earlier]
                    continue
            if node.link:
                changeset.links[row] = node.link
            if node.device is not None:
                changeset.devices[row] = node.device
            if node.xattrs:
                changeset.xattrs[row] = dict(node.xattrs)
            if node.content is not None:
                contents[row] = node.content
        if self._copy.latest is not None:
            changeset = replace(changeset, mtimes=np.minimum(changeset.mtimes, self._copy.latest))
        return Written(changeset, contents)


def columns(paths: list[bytes], nodes: list[Node]) -> Changeset:
    kinds, modes, uids, gids, sizes, mtimes, *_ = zip(*nodes, strict=True)
    unknown = np.full(len(paths), -1, np.int64)
    return Changeset(
        b"\0".join(paths),
        np.array(kinds, np.uint8),
        np.array(modes, np.uint16),
        np.array(uids, np.int64),
        np.array(gids, np.int64),
        np.array(sizes, np.int64),
        np.array(mtimes, np.int64),
        unknown,
        unknown,
    )


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder and name else folder or name


def same_layer(new: Written, old: Changeset, old_content: Callable[[int], Pieces]) -> bool:
    """Whether a layer equals what a step writes, ignoring times, as builders do."""
    changeset = new.changeset
    if changeset.path_blob != old.path_blob or len(changeset) != len(old):
        return False
    columns = ("kinds", "modes", "uids", "gids", "sizes")
    if not all(np.array_equal(getattr(changeset, c), getattr(old, c)) for c in columns):
        return False
    few = ("links", "devices", "xattrs")
    if any(getattr(changeset, name) != getattr(old, name) for name in few) or old.sparse:
        return False
    return all(_equal(new.content(row), old_content(row)) for row in new.contents)


def _equal(first: Pieces, second: Pieces) -> bool:
    """Whether two contents, in pieces of any length, are equal."""
    left, right = iter(first), iter(second)
    one = other = b""
    while True:
        one = one or _next(left)
        other = other or _next(right)
        length = min(len(one), len(other))
        if not length:
            return one == other
        if one[:length] != other[:length]:
            return False
        one, other = one[length:], other[length:]


def _next(pieces: Iterator[bytes]) -> bytes:
    return next(filter(None, pieces), b"")
