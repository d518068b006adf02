"""All paths of an image as one tree, whose nodes are numbered depth first.

A node is a number: its place when all paths are sorted component by component, the root being 0.
So the descendants of a node are the numbers right behind it, and whatever is asked of subtrees
(what a whiteout hides, how large a folder is) is a difference of two prefix sums.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from layerscope.errors import LayerscopeError

Int32 = npt.NDArray[np.int32]

# With the slash and NUL swapped, comparing bytes compares component by component.
_SWAP = bytes.maketrans(b"/\0", b"\0/")


#: Bytes of the paths of folders that no layer has an entry for.
MOST_IMPLIED = 256 << 20


class PathTree:
    """The tree of all paths that any layer names, and of the folders above them.

    Attributes:
        parents: The parent of each node; the root is its own.
        depths: Number of components of each node's path.
        ends: One past the last descendant of each node: `range(node + 1, ends[node])` are its
            descendants.
    """

    def __init__(self, blobs: Iterable[bytes], extra: Iterable[bytes] = ()) -> None:
        """Builds the tree.

        Args:
            blobs: For each layer, its paths joined by NUL.
            extra: More paths to be in the tree.

        Raises:
            LayerscopeError: The folders above the paths are out of proportion.
        """
        keys: dict[bytes, None] = {b"": None}
        for blob in blobs:
            keys.update(dict.fromkeys(blob.translate(_SWAP).split(b"/")))
        keys.update(dict.fromkeys(path.translate(_SWAP) for path in extra))
        while True:
            ordered = sorted(keys)
            parents = [key.rpartition(b"\0")[0] for key in ordered]
            missing = set(parents) - keys.keys()
            if not missing:
                break
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
        count = len(ordered)
        self._nodes = dict(zip(ordered, range(count), strict=True))
        self.parents: Int32 = np.fromiter(map(self._nodes.__getitem__, parents), np.int32, count)
        self.depths: npt.NDArray[np.int16] = np.fromiter(
            [key.count(b"\0") + 1 for key in ordered], np.int16, count
        )
        self.depths[0] = 0
        self.ends: Int32 = _ends(self.parents, self.depths)
        self._keys = ordered

    def __len__(self) -> int:
        return len(self.parents)

    def nodes(self, blob: bytes, count: int) -> Int32:
        """The nodes of paths that were joined by NUL.

        Raises:
            KeyError: The tree was built without one of them.
        """
        if not count:
            return np.zeros(0, np.int32)
        keys = blob.translate(_SWAP).split(b"/")
        return np.fromiter(map(self._nodes.__getitem__, keys), np.int32, count)

    def find(self, path: bytes) -> int | None:
        """The node of a path without leading slash, or None."""
        return self._nodes.get(path.translate(_SWAP))

    def path(self, node: int) -> bytes:
        """The path of a node, without leading slash."""
        return self._keys[node].translate(_SWAP)

    def name(self, node: int) -> bytes:
        """The last component of a node's path; empty for the root."""
        return self._keys[node].rpartition(b"\0")[2]

    def paths(self, nodes: Iterable[int]) -> list[bytes]:
        """The paths of some nodes."""
        keys = self._keys
        return [keys[node].translate(_SWAP) for node in nodes]

    def search(self, pattern: re.Pattern[bytes]) -> npt.NDArray[np.bool_]:
        """Whether each node's path matches a pattern (searched, not anchored)."""
        search = pattern.search
        found = [search(key.translate(_SWAP)) is not None for key in self._keys]
        return np.array(found, np.bool_)

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


def _ends(parents: Int32, depths: npt.NDArray[np.int16]) -> Int32:
    """Adds up subtree sizes from the deepest nodes to the root."""
    sizes = np.ones(len(parents), np.int64)
    order = np.argsort(depths, kind="stable")
    bounds = np.searchsorted(depths[order], np.arange(int(depths.max(initial=0)) + 2))
    for depth in range(len(bounds) - 2, 0, -1):
        nodes = order[bounds[depth] : bounds[depth + 1]]
        np.add.at(sizes, parents[nodes], sizes[nodes])
    ends = np.arange(len(parents)) + sizes
    return ends.astype(np.int32)
