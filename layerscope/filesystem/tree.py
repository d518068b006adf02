"""All paths of an image as one tree, whose nodes are numbered depth first.

A node is the index of a path when all are sorted component by component; the root is 0. So the
descendants of a node follow it directly, and a query on a subtree (the paths that a whiteout hides,
the size of a folder) is a difference of two prefix sums.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import (
    Bool,
    Int16,
    Int32,
    Int64,
    Intp,
    hashes,
    path_pieces,
)
from layerscope.filesystem.search import Joined, search_tree
from layerscope.patterns import PathPattern

# With the slash and NUL swapped, comparing bytes compares component by component.
_SWAP = bytes.maketrans(b"/\0", b"\0/")
_SLASH = ord("/")


#: The most bytes in paths of folders that no layer has an entry for.
MOST_IMPLIED = 256 << 20


class PathTree:
    """The tree of all paths in any layer, and of the folders above them."""

    lengths: Int64  # The number of bytes in each node's path.
    depths: Int16  # The number of components in each node's path.

    def __init__(
        self,
        blobs: Iterable[bytes],
        extra: Iterable[bytes] = (),
        *,
        blob: bytes | None = None,
        shape: tuple[Int64, Int16] | None = None,
    ) -> None:
        """Builds the tree of the layers' paths, joined by NUL, and of extra ones.

        If it was built before, its `blob` and `shape` (`lengths` and `depths`) replace them.
        Raises LayerscopeError if the paths imply far too many folders.
        """
        self._index: _Index | None = None
        if blob is None:
            keys = [b"", *(path.translate(_SWAP) for path in extra)]
            for of_layer in blobs:
                keys += of_layer.translate(_SWAP).split(b"/")
            _distinct(keys)
            if missing := _implied(keys):
                keys += missing
                keys.sort()
            count, joined = len(keys), b"/".join(keys)
            del keys  # They take more memory than everything that follows.
            self._index = _Index(joined, count)
            blob = joined.translate(_SWAP)
        self.blob = blob  # The paths of all nodes, joined by NUL.
        self.lengths, self.depths = shape or _shape(blob)
        self._starts: Int64 = np.concatenate([[0], np.cumsum(self.lengths + 1)])
        self._names: Joined | None = None

    @cached_property
    def parents(self) -> Int32:
        """The parent of each node; the root is its own."""
        return _parents(_levels(self.depths), len(self))

    @cached_property
    def ends(self) -> Int32:
        """One past the last descendant of each node.

        `range(node + 1, ends[node])` are its descendants.
        """
        return _ends(_levels(self.depths), self.parents)

    def __len__(self) -> int:
        return len(self.depths)

    def nodes(self, blob: bytes, count: int) -> Int32:
        """The nodes of paths joined by NUL; raises KeyError if a path is not in the tree."""
        if not count:
            return np.zeros(0, np.int32)
        # Another thread may call `compact` meanwhile.
        index = self._index
        if index is None:
            index = self._index = _Index(self.blob.translate(_SWAP), len(self))
        return index.places(blob.translate(_SWAP), count)

    def compact(self) -> None:
        """Frees the index that makes `nodes` fast."""
        self._index = None

    def find(self, path: bytes) -> int | None:
        """The node of a path without a leading slash, or None."""
        key = path.translate(_SWAP)
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.path(middle).translate(_SWAP) < key:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self.path(low) == path else None

    def path(self, node: int) -> bytes:
        return self.blob[self._starts[node] : self._starts[node + 1] - 1]

    def name(self, node: int) -> bytes:
        """The last component of a node's path; empty for the root."""
        return self.path(node).rpartition(b"/")[2]

    def paths(self, nodes: Iterable[int]) -> list[bytes]:
        which = np.fromiter(nodes, np.int64)
        blob = self.blob
        starts, stops = self._starts[which].tolist(), (self._starts[which + 1] - 1).tolist()
        return [blob[start:stop] for start, stop in zip(starts, stops, strict=True)]

    def search(self, pattern: PathPattern, stop: Callable[[], None] = lambda: None) -> Bool:
        """Whether each node's path matches a pattern.

        `stop` is called repeatedly and may raise to end the search.
        """
        return search_tree(
            Joined(self.blob, self._starts), self.joined_names, self.ends, pattern, stop
        )

    def joined_names(self) -> Joined:
        """The last component of each path; cached."""
        if self._names is None:
            parents = self.parents
            skip = np.where(self.depths > 1, self.lengths[parents] + 1, 0)
            self._names = Joined(self.blob, self._starts).tails(skip)
        return self._names

    def children(self, node: int) -> list[int]:
        result, child, end = [], node + 1, int(self.ends[node])
        while child < end:
            result.append(child)
            child = int(self.ends[child])
        return result

    def below(self, flags: Bool) -> Int32:
        """The number of flagged descendants of each node."""
        sums = np.zeros(len(self) + 1, np.int32)
        np.cumsum(flags, out=sums[1:])
        result: Int32 = sums[self.ends] - sums[1:]
        return result


class _Index:
    """The positions of distinct paths, joined by slashes."""

    def __init__(self, joined: bytes, count: int) -> None:
        own = hashes(_keys(joined), count)
        self._places = np.argsort(own).astype(np.int32)
        self._hashes = own[self._places]
        same = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        # Paths that share their hash with another, which is rare.
        doubtful = {*self._places[same].tolist(), *self._places[same + 1].tolist()}
        self._doubtful: dict[bytes, int] = {}
        if doubtful:
            pairs = enumerate(_keys(joined))
            self._doubtful = {key: place for place, key in pairs if place in doubtful}

    def places(self, joined: bytes, count: int) -> Int32:
        """The positions of paths, in order; raises KeyError if one is missing."""
        wanted = hashes(_keys(joined), count)
        # Sorted order takes a third of the time, as neighbours are in the CPU's cache.
        order = np.argsort(wanted)
        at = np.empty(count, np.intp)
        at[order] = np.searchsorted(self._hashes, wanted[order])
        np.minimum(at, len(self._hashes) - 1, out=at)
        if (self._hashes[at] != wanted).any():
            raise KeyError("a path is not in the tree")
        found: Int32 = self._places[at]
        if known := self._doubtful:
            for row, key in enumerate(_keys(joined)):
                if key in known:
                    found[row] = known[key]
        return found


def _keys(joined: bytes) -> Iterator[bytes]:
    return itertools.chain.from_iterable(path_pieces(joined, b"/"))


def _distinct(keys: list[bytes]) -> None:
    """Sorts keys, and removes repeated ones."""
    keys.sort()
    if any(map(operator.eq, keys, itertools.islice(keys, 1, None))):
        keys[:] = map(operator.itemgetter(0), itertools.groupby(keys))


def _implied(keys: list[bytes]) -> list[bytes]:
    """The folders above sorted keys that are not among them.

    Raises LayerscopeError if there are far too many.
    """
    missing: list[bytes] = []
    implied = 0
    last = before = b""
    for key in keys:
        # A folder comes directly before everything below it.
        above = key.rpartition(b"\0")[0]
        if above == before:
            last = key
            continue
        before = above
        lacking = []
        while not (last == above or last.startswith(above + b"\0")) and above:
            lacking.append(above)
            above = above.rpartition(b"\0")[0]
        implied += sum(map(len, lacking))
        if implied > MOST_IMPLIED:
            raise LayerscopeError(
                "The image has too many deep paths without entries for the folders above them.",
                "No ordinary image has that many: it may be designed to exhaust memory.",
            )
        missing += lacking
        last = key
    return missing


def _shape(blob: bytes) -> tuple[Int64, Int16]:
    data = np.frombuffer(blob, np.uint8)
    stops = np.append(np.flatnonzero(data == 0), len(blob))
    lengths = np.diff(stops, prepend=-1) - 1
    slashes = np.searchsorted(np.flatnonzero(data == _SLASH), stops)
    depths = (np.diff(slashes, prepend=0) + 1).astype(np.int16)
    depths[0] = 0
    return lengths, depths


def _levels(depths: Int16) -> list[Intp]:
    order = np.argsort(depths, kind="stable")
    bounds = np.searchsorted(depths[order], np.arange(int(depths.max(initial=0)) + 2)).tolist()
    return [order[start:stop] for start, stop in itertools.pairwise(bounds)]


def _parents(levels: list[Intp], count: int) -> Int32:
    """The parent of a node is the last node before it that is one level higher."""
    parents = np.zeros(count, np.int32)
    for above, level in itertools.pairwise(levels):
        parents[level] = above[np.searchsorted(above, level) - 1]
    return parents


def _ends(levels: list[Intp], parents: Int32) -> Int32:
    """Adds up subtree sizes from the deepest nodes to the root."""
    sizes = np.ones(len(parents), np.int64)
    for level in levels[:0:-1]:
        np.add.at(sizes, parents[level], sizes[level])
    ends = np.arange(len(parents)) + sizes
    return ends.astype(np.int32)
