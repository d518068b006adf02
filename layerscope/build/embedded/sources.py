"""Sources of COPY and ADD: the build context, an image's merged view, an archive, data."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

from layerscope.build.embedded.metadata import StepError
from layerscope.dockerfile.context.context import Context, ContextEntry
from layerscope.filesystem.capabilities import ATTRIBUTE
from layerscope.filesystem.entry_type import EntryType
from layerscope.oci.byte_source import opened
from layerscope.patterns import GO_MATCH, GO_MATCH_DEEP, Dialect, path_matcher
from layerscope.text import decode, visible

_PIECE = 1 << 20
_MOST_LINKS = 40  # Linux's limit before ELOOP.
_WILD = re.compile(r"[*?\[\\]")

#: As plain numbers, since there may be many files.
_DIR = int(EntryType.DIR)
_KINDS = {
    stat.S_IFREG: int(EntryType.FILE),
    stat.S_IFDIR: _DIR,
    stat.S_IFLNK: int(EntryType.SYMLINK),
    stat.S_IFIFO: int(EntryType.FIFO),
    stat.S_IFCHR: int(EntryType.CHAR),
    stat.S_IFBLK: int(EntryType.BLOCK),
}

Pieces = Iterable[bytes]


class Node(NamedTuple):
    """A file, a folder or another entry to copy."""

    kind: int  # `EntryType`; never a hard link.
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    content: Callable[[], Pieces] | None = None  # Of a regular file.
    link: bytes = b""  # The target of a symlink.
    inode: Hashable = None  # The same for all hard links of a file.
    device: tuple[int, int] | None = None
    xattrs: Mapping[bytes, bytes] | None = None

    @property
    def is_folder(self) -> bool:
        return self.kind == _DIR


FOLDER = Node(_DIR, 0o755, 0, 0, 0, 0)


class Source(Protocol):
    """A tree of files. Paths are relative, without a slash at either end; the root is empty."""

    def find(self, path: bytes) -> Node | None:
        """Returns what is at a path, without following a final symlink."""

    def names(self, path: bytes) -> Sequence[bytes]:
        """Returns the names in a folder, in order."""

    def below(self, path: bytes) -> Iterator[tuple[bytes, Node]]:
        """Yields everything below a folder, by relative path; folders before their content."""

    def stamp(self, path: bytes) -> str:
        """Returns a value that changes if anything at or below a path may have changed."""


#: A tree that is opened on demand, and a key of its content.
Origin = tuple[Callable[[], Source], str]


def resolve(source: Source, path: bytes) -> tuple[bytes, Node | None]:
    """Resolves the symlinks of a path, never outside the tree.

    Returns the resolved path, and what is there, if anything. Raises StepError for a loop, or if a
    file is in place of a folder.
    """
    pending = path.split(b"/")[::-1]
    done: list[bytes] = []
    links = 0
    node: Node | None = FOLDER
    while pending:
        part = pending.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            done = done[:-1]
            node = source.find(b"/".join(done)) if done else FOLDER
            continue
        if node is not None and not node.is_folder:
            above = visible(b"/" + b"/".join(done))
            raise StepError(f"{above} is not a folder.")
        done.append(part)
        node = source.find(b"/".join(done)) if node is not None else None
        if node is not None and node.kind == EntryType.SYMLINK:
            links += 1
            if links > _MOST_LINKS:
                raise StepError(f"The symbolic links of {visible(path)} form a loop.")
            done = [] if node.link.startswith(b"/") else done[:-1]
            pending += node.link.split(b"/")[::-1]
            node = source.find(b"/".join(done)) if done else FOLDER
    return b"/".join(done), node


def matching(source: Source, pattern: str, *, deep: bool = False) -> list[bytes]:
    """Returns the paths that match a wildcard pattern, in order; `deep` supports `**`.

    Raises PatternError if the pattern is invalid.
    """
    if deep and "**" in pattern:
        fits = path_matcher(pattern, GO_MATCH_DEEP)
        return [path for path, _ in source.below(b"") if fits(decode(path))]
    found = [b""]
    for part in pattern.split("/"):
        found = [path for folder in found for path in _fitting(source, folder, part, GO_MATCH)]
    return found


def _fitting(source: Source, folder: bytes, part: str, dialect: Dialect) -> Iterator[bytes]:
    start = folder + b"/" if folder else b""
    if not is_wild(part):
        path = start + part.encode("utf-8", "surrogateescape")
        if source.find(path) is not None:
            yield path
        return
    _, node = resolve(source, folder)
    if node is not None and node.is_folder:
        fits = path_matcher(part, dialect)
        yield from (start + name for name in source.names(folder) if fits(decode(name)))


def is_wild(pattern: str) -> bool:
    return _WILD.search(pattern) is not None


class ContextSource:
    """The files of a build context, without excluded ones."""

    def __init__(self, context: Context) -> None:
        self._root = os.fsencode(context.root)
        self._entries: list[ContextEntry] = [
            each for each in context.entries if not each.for_builder
        ]
        self.context = context

    @cached_property
    def _paths(self) -> list[bytes]:
        return [os.fsencode(each.path) for each in self._entries]

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {path: place for place, path in enumerate(self._paths)}

    def find(self, path: bytes) -> Node | None:
        if not path:
            return FOLDER
        place = self._places.get(path)
        return None if place is None else self._node(place)

    def names(self, path: bytes) -> Sequence[bytes]:
        skip = len(path) + 1 if path else 0
        inner = (self._paths[place][skip:] for place in self._range(path))
        return [name for name in inner if b"/" not in name]

    def below(self, path: bytes) -> Iterator[tuple[bytes, Node]]:
        skip = len(path) + 1 if path else 0
        for place in self._range(path):
            yield self._paths[place][skip:], self._node(place)

    def _range(self, path: bytes) -> range:
        """Returns the indices of everything below a folder, which follow it."""
        if not path:
            return range(len(self._entries))
        start = self._places[path] + 1
        prefix = path + b"/"
        count = bisect_left(
            range(start, len(self._paths)),
            True,
            key=lambda place: not self._paths[place].startswith(prefix),
        )
        return range(start, start + count)

    def stamp(self, path: bytes) -> str:
        digest = hashlib.sha256()
        own = [self._places[path]] if path else []
        for place in (*own, *self._range(path)):
            found = self._entries[place].status
            facts = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            digest.update(b"%s\0%d %d %d %d %d\n" % (self._paths[place], *facts, found.st_ino))
        return digest.hexdigest()

    def _node(self, place: int) -> Node:
        status = self._entries[place].status
        path = self._paths[place]
        if path.rpartition(b"/")[2].startswith(b".wh."):
            raise StepError(
                f"{visible(path)} cannot be copied: in a layer, its name means a removal."
            )
        full = self._root + b"/" + path
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns // 10**9
        if kind == EntryType.FILE:
            size = status.st_size
            inode = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
            return Node(
                kind,
                mode,
                0,
                0,
                size,
                mtime,
                lambda: _file(full, path, size),
                inode=inode,
                xattrs=_capability(full),
            )
        if kind == EntryType.SYMLINK:
            try:
                # A link may have replaced the file since; then its target counts.
                return Node(kind, 0o777, 0, 0, 0, mtime, link=os.readlink(full))  # noqa: PTH115 - exact
            except OSError as error:
                raise _unreadable(path, error) from None
        device = None
        if kind in (EntryType.CHAR, EntryType.BLOCK):
            device = os.major(status.st_rdev), os.minor(status.st_rdev)
        return Node(kind, mode, 0, 0, 0, mtime, device=device)


def _capability(full: bytes) -> Mapping[bytes, bytes] | None:
    try:
        return {ATTRIBUTE: os.getxattr(full, ATTRIBUTE, follow_symlinks=False)}
    except OSError:
        return None


def _file(full: bytes, path: bytes, size: int) -> Pieces:
    """Reads a file of an expected size."""
    try:
        # A file replaced with a link must not lead outside the context.
        fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        if size < _PIECE:
            return (os.read(fd, size + 1),)
        fd, own = -1, fd
        return _pieces(own, path)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        if fd >= 0:
            os.close(fd)


def _pieces(fd: int, path: bytes) -> Iterator[bytes]:
    with opened(fd):
        try:
            while piece := os.read(fd, _PIECE):
                yield piece
        except OSError as error:
            raise _unreadable(path, error) from None


def _unreadable(path: bytes, error: OSError) -> StepError:
    return StepError(
        f"{visible(path)} cannot be read ({error.strerror}).",
        "Make it readable, or exclude it from the build context.",
    )


def whole(data: bytes) -> Pieces:
    """Returns content from memory."""
    return (data,)


class DataSource:
    """Files with content in memory or in an open file: heredocs and downloads."""

    def __init__(self, files: Mapping[bytes, tuple[Node, str]]) -> None:
        """`files` are by name, each with a digest of its content."""
        self._files = files

    def find(self, path: bytes) -> Node | None:
        return self._files[path][0] if path in self._files else None if path else FOLDER

    def names(self, path: bytes) -> Sequence[bytes]:
        return sorted(self._files)

    def below(self, path: bytes) -> Iterator[tuple[bytes, Node]]:
        yield from ((name, self._files[name][0]) for name in self.names(path))

    def stamp(self, path: bytes) -> str:
        return self._files[path][1]


class EmptySource:
    """The empty tree that `--link` copies into."""

    def find(self, path: bytes) -> Node | None:
        return None if path else FOLDER

    def names(self, path: bytes) -> Sequence[bytes]:
        return ()

    def below(self, path: bytes) -> Iterator[tuple[bytes, Node]]:
        return iter(())

    def stamp(self, path: bytes) -> str:
        return ""
