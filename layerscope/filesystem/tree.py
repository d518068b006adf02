"""All paths of an image as one tree, whose nodes are numbered depth first.

A node is a number: its place when all paths are sorted component by component, the root being 0.
So the descendants of a node are the numbers right behind it, and whatever is asked of subtrees
(what a whiteout hides, how large a folder is) is a difference of two prefix sums.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import Int64
from layerscope.filesystem.path_search import Joined, search

Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]

# With the slash and NUL swapped, comparing bytes compares component by component.
_SWAP = bytes.maketrans(b"/\0", b"\0/")
_SLASH = ord("/")


#: Bytes of the paths of folders that no layer has an entry for.
MOST_IMPLIED = 256 << 20


class PathTree:
    """The tree of all paths that any layer names, and of the folders above them.

    Attributes:
        blob: The paths of all nodes, joined by NUL.
        lengths: Number of bytes of each node's path.
        depths: Number of components of each node's path.
    """

    def __init__(
        self,
        blobs: Iterable[bytes],
        extra: Iterable[bytes] = (),
        *,
        blob: bytes | None = None,
        shape: tuple[Int64, Int16] | None = None,
    ) -> None:
        """Builds the tree.

        Args:
            blobs: For each layer, its paths joined by NUL.
            extra: More paths to be in the tree.
            blob: The `blob` of a tree that was built before; if given, nothing else counts, and
                nothing is sorted.
            shape: The `lengths` and `depths` of that tree.

        Raises:
            LayerscopeError: The folders above the paths are out of proportion.
        """
        self._index: dict[bytes, int] | None = None
        if blob is None:
            keys: dict[bytes, None] = {b"": None}
            for of_layer in blobs:
                keys.update(dict.fromkeys(of_layer.translate(_SWAP).split(b"/")))
            keys.update(dict.fromkeys(path.translate(_SWAP) for path in extra))
            _imply(keys)
            ordered = sorted(keys)
            self._index = dict(zip(ordered, range(len(ordered)), strict=True))
            blob = b"/".join(ordered).translate(_SWAP)
        self.blob = blob
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
        """The nodes of paths that were joined by NUL.

        Raises:
            KeyError: The tree was built without one of them.
        """
        if not count:
            return np.zeros(0, np.int32)
        if self._index is None:
            ordered = self.blob.translate(_SWAP).split(b"/")
            self._index = dict(zip(ordered, range(len(ordered)), strict=True))
        keys = blob.translate(_SWAP).split(b"/")
        return np.fromiter(map(self._index.__getitem__, keys), np.int32, count)

    def compact(self) -> None:
        """Lets go of what makes `nodes` fast and takes more memory than all the rest."""
        self._index = None

    def find(self, path: bytes) -> int | None:
        """The node of a path without leading slash, or None."""
        key = path.translate(_SWAP)
        if self._index is not None:
            return self._index.get(key)
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.path(middle).translate(_SWAP) < key:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self.path(low) == path else None

    def path(self, node: int) -> bytes:
        """The path of a node, without leading slash."""
        return self.blob[self._starts[node] : self._starts[node + 1] - 1]

    def name(self, node: int) -> bytes:
        """The last component of a node's path; empty for the root."""
        return self.path(node).rpartition(b"/")[2]

    def paths(self, nodes: Iterable[int]) -> list[bytes]:
        """The paths of some nodes."""
        which = np.fromiter(nodes, np.int64)
        blob = self.blob
        starts, stops = self._starts[which].tolist(), (self._starts[which + 1] - 1).tolist()
        return [blob[start:stop] for start, stop in zip(starts, stops, strict=True)]

    def search(
        self, pattern: re.Pattern[bytes], stop: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.bool_]:
        """Whether each node's path matches a pattern (searched, not anchored).

        Args:
            pattern: The pattern.
            stop: Called now and then; may raise, to end the search.
        """
        return search(Joined(self.blob, self._starts), self.joined_names, self.ends, pattern, stop)

    def joined_names(self) -> Joined:
        """The last component of each path; made by the first search, or before."""
        if self._names is None:
            parents = self.parents
            skip = np.where(self.depths > 1, self.lengths[parents] + 1, 0)
            self._names = Joined(self.blob, self._starts).tails(skip)
        return self._names

    def children(self, node: int) -> list[int]:
        """The children of a node, by name."""
        result = []
        child = node + 1
        end = int(self.ends[node])
        while child < end:
            result.append(child)
            child = int(self.ends[child])
        return result

    def below(self, flags: npt.NDArray[np.bool_]) -> Int32:
        """How many flagged nodes there are among the descendants of each node."""
        sums = np.zeros(len(self) + 1, np.int32)
        np.cumsum(flags, out=sums[1:])
        result: Int32 = sums[self.ends] - sums[1:]
        return result


def _imply(keys: dict[bytes, None]) -> None:
    """Adds the folders above.

    Raises:
        LayerscopeError: They are out of proportion.
    """
    missing = {key.rpartition(b"\0")[0] for key in keys} - keys.keys()
    implied = 0
    while missing:
        implied += sum(map(len, missing))
        if implied > MOST_IMPLIED:
            raise LayerscopeError(
                "The image names too many deep paths without the folders above them.",
                "No image needs that: it may be made to use up memory.",
            )
        keys.update(dict.fromkeys(missing))
        missing = {key.rpartition(b"\0")[0] for key in missing} - keys.keys()


def _shape(blob: bytes) -> tuple[Int64, Int16]:
    """Length and depth of each path."""
    data = np.frombuffer(blob, np.uint8)
    stops = np.append(np.flatnonzero(data == 0), len(blob))
    lengths = np.diff(stops, prepend=-1) - 1
    slashes = np.searchsorted(np.flatnonzero(data == _SLASH), stops)
    depths = (np.diff(slashes, prepend=0) + 1).astype(np.int16)
    depths[0] = 0
    return lengths, depths


def _levels(depths: Int16) -> list[npt.NDArray[np.intp]]:
    """The nodes of each depth, in order."""
    order = np.argsort(depths, kind="stable")
    bounds = np.searchsorted(depths[order], np.arange(int(depths.max(initial=0)) + 2)).tolist()
    return [order[start:stop] for start, stop in itertools.pairwise(bounds)]


def _parents(levels: list[npt.NDArray[np.intp]], count: int) -> Int32:
    """The parent of a node is the last one before it that is a level higher."""
    parents = np.zeros(count, np.int32)
    for above, level in itertools.pairwise(levels):
        parents[level] = above[np.searchsorted(above, level) - 1]
    return parents


def _ends(levels: list[npt.NDArray[np.intp]], parents: Int32) -> Int32:
    """Adds up subtree sizes from the deepest nodes to the root."""
    sizes = np.ones(len(parents), np.int64)
    for level in levels[:0:-1]:
        np.add.at(sizes, parents[level], sizes[level])
    ends = np.arange(len(parents)) + sizes
    return ends.astype(np.int32)
