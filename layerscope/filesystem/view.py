"""The values of a layer, or of the merged view up to it, at each node of the tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import Bool, EntryType, Int32, Int64, UInt8
from layerscope.filesystem.stack import Stack


@dataclass(slots=True)
class View:
    """One value for each node of `stack.tree`."""

    stack: Stack
    layer: int
    shown: Bool  # Whether the node is part of the view.
    #: The version shown; at a removed path, the removed one; -1 for a folder that is shown only
    #: because of its contents.
    versions: Int32
    changes: UInt8  # What the layer did to the node.
    #: Bytes of a file, or of all files below a folder, each inode once. Removed files count only in
    #: removed folders.
    sizes: Int64
    touched: Bool  # Whether anything below the node is added, modified or removed.


def union_view(stack: Stack, layer: int) -> View:
    return _view(stack, layer, stack.union(layer))


def layer_view(stack: Stack, layer: int) -> View:
    """The nodes that a layer adds, modifies and removes, and the folders above them."""
    own = stack.changed(layer)
    own = own[(stack.hidden_by[own] > layer) & (stack.kinds[own] < EntryType.WHITEOUT)]
    return _view(stack, layer, own)


def _view(stack: Stack, layer: int, live: Int32) -> View:
    tree = stack.tree
    count = len(tree)
    versions: Int32 = np.full(count, -1, np.int32)
    changes: UInt8 = np.full(count, Change.UNCHANGED, np.uint8)
    gone = stack.removed(layer)
    versions[stack.nodes[live]] = live
    own = live[stack.layers[live] == layer]
    changes[stack.nodes[own]] = stack.changes[own]
    versions[stack.nodes[gone]] = gone
    changes[stack.nodes[gone]] = Change.REMOVED
    shown: Bool = versions >= 0
    shown |= tree.below(shown) > 0
    kept = _totals(stack, live)
    removed = _totals(stack, gone)
    sizes = np.where(changes == Change.REMOVED, removed, kept)
    touched = tree.below(changes != Change.UNCHANGED) > 0
    shown[0] = False
    return View(stack, layer, shown, versions, changes, sizes, touched)


def _totals(stack: Stack, rows: Int32) -> Int64:
    """Bytes at and below each node, each inode counted at the first path that shows it."""
    tree = stack.tree
    weights = np.zeros(len(tree) + 1, np.int64)
    files = rows[stack.types[rows] == EntryType.FILE]
    inodes = stack.inodes[files]
    if (inodes != files).any():
        _, first = np.unique(inodes, return_index=True)
        files = files[first]
        inodes = inodes[first]
    weights[stack.nodes[files] + 1] = stack.sizes[inodes]
    sums = np.cumsum(weights)
    totals: Int64 = sums[tree.ends] - sums[:-1]
    return totals
