"""Folds many paths to the few folders that say it all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.changeset import Int64
from layerscope.filesystem.tree import Int32, PathTree


def fold(
    tree: PathTree, nodes: Int32, sizes: Int64, whole: Int32
) -> list[tuple[int, int, int, bool]]:
    """Puts folders in the place of files, where these are all that there is in the folder.

    Args:
        tree: The tree.
        nodes: The files; one may come several times.
        sizes: Their bytes.
        whole: All files that there are; `nodes` are some of them.

    Returns:
        Node, bytes, number of files, and whether the node stands for what is below it.
    """
    if not len(nodes):
        return []
    order = np.argsort(nodes, kind="stable")
    picked, sums = nodes[order], np.concatenate([[0], np.cumsum(sizes[order])])
    everything = np.sort(whole)
    ends, parents = tree.ends, tree.parents
    alone = np.unique(picked)
    # A file in one entry of a layer can be a folder in another: it stands for itself alone.
    whole_branch = _within(picked, alone, ends) == _within(everything, alone, ends)
    alone, current = alone[~whole_branch], alone[whole_branch]
    settled: list[npt.NDArray[np.int32]] = []
    while len(current):
        above = parents[current]
        climbs = (above != current) & (
            _within(picked, above, ends) == _within(everything, above, ends)
        )
        settled.append(current[~climbs])
        current = np.unique(above[climbs])
    tops = np.unique(np.concatenate([np.zeros(0, np.int32), *settled]))
    first = np.searchsorted(picked, np.concatenate([tops, alone]))
    last = np.searchsorted(picked, np.concatenate([ends[tops], alone + 1])) - 1
    # Not higher than it must be: the lowest folder with all of them in it.
    low, final = picked[first].copy(), picked[last]
    while (short := ends[low] <= final).any():
        low[short] = parents[low[short]]
    return list(
        zip(
            low.tolist(),
            (sums[last + 1] - sums[first]).tolist(),
            (last + 1 - first).tolist(),
            ((low != picked[first]) | (final != picked[first])).tolist(),
            strict=True,
        )
    )


def _within(nodes: Int32, folders: Int32, ends: Int32) -> npt.NDArray[np.intp]:
    """How many of some sorted nodes are in each folder, itself included."""
    return np.searchsorted(nodes, ends[folders]) - np.searchsorted(nodes, folders)


def common_folder(tree: PathTree, nodes: Int32) -> int:
    """The lowest node that is above all of some nodes, or is the only one of them."""
    low, last = int(nodes.min()), int(nodes.max())
    while tree.ends[low] <= last:
        low = int(tree.parents[low])
    return low
