"""Waste: bytes that an image ships but containers cannot see, by path and by hiding layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layerscope.filesystem.apply import distinct
from layerscope.filesystem.change import NEVER, Aspect
from layerscope.filesystem.changeset import EntryType, Int16, Int32, Int64, Intp
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tree import PathTree


class WastedPath(NamedTuple):
    path: bytes  # Without a leading slash.
    size: int  # Bytes of all its hidden versions.
    versions: int
    hidden_by: int | None  # The layer that hid the last of them; None if that was their own layer.


@dataclass(frozen=True, slots=True, eq=False)
class Waste:
    #: For each layer, the total size of its regular files, each inode once.
    layer_sizes: tuple[int, ...]
    #: For each layer, how many of its own bytes are hidden, and how many of lower layers it hides.
    layer_wasted: tuple[int, ...]
    layer_hides: tuple[int, ...]
    visible_size: int  # The same sum over the merged view.
    #: The wasted paths, largest first: their nodes in `tree`, and the other fields of `paths`, with
    #: -1 for None.
    rows: tuple[Int32, Int64, Intp, Int16]
    tree: PathTree

    @property
    def count(self) -> int:
        return len(self.rows[0])

    @property
    def columns(self) -> tuple[list[bytes], list[int], list[int], list[int | None]]:
        """The fields of `paths` as separate lists."""
        nodes, sizes, versions, hiders = (column.tolist() for column in self.rows)
        hidden_by = [hider if hider >= 0 else None for hider in hiders]
        return self.tree.paths(nodes), sizes, versions, hidden_by

    @property
    def paths(self) -> list[WastedPath]:
        return list(map(WastedPath._make, zip(*self.columns, strict=True)))

    @property
    def size(self) -> int:
        return sum(self.layer_sizes)

    @property
    def wasted_size(self) -> int:
        return self.size - self.visible_size

    @property
    def efficiency(self) -> float:
        """Visible bytes ÷ shipped bytes; 1.0 for an empty image."""
        return self.visible_size / self.size if self.size else 1.0


def measure(stack: Stack) -> Waste:
    """Measures the waste of a stack.

    A file with several names is wasted by the layer that hides the last of them.
    """
    sizes = tuple(stack.layer_size(layer) for layer in range(stack.height))
    hidden_by = hiders(stack)
    files = inodes_of_files(stack)
    visible = int(stack.sizes[files[hidden_by[files] == NEVER]].sum())
    lost = hidden_files(stack, hidden_by)
    below = lost[hidden_by[lost] > stack.layers[lost]]
    wasted = _sums(stack.height, stack.layers[lost], stack.sizes[lost])
    hides = _sums(stack.height, hidden_by[below], stack.sizes[below])
    rows = _by_path(stack, lost, hidden_by)
    return Waste(sizes, wasted, hides, visible, rows, stack.tree)


def _sums(height: int, layers: Int16, sizes: Int64) -> tuple[int, ...]:
    """The total bytes of files for each layer."""
    sums = np.zeros(height, np.int64)
    np.add.at(sums, layers, sizes)
    return tuple(sums.tolist())


def hiders(stack: Stack) -> Int16:
    """For each inode, by its row, the layer that hid the last of its names, or `NEVER`."""
    rows = np.flatnonzero(stack.types == EntryType.FILE)
    hidden_by = np.zeros(len(stack.kinds), np.int16)
    np.maximum.at(hidden_by, stack.inodes[rows], stack.hidden_by[rows])
    return hidden_by


def hidden_files(stack: Stack, hidden_by: Int16) -> Intp:
    """Rows of hidden inodes with content; `hidden_by` is the result of `hiders`."""
    files = inodes_of_files(stack)
    lost: Intp = files[(hidden_by[files] != NEVER) & (stack.sizes[files] > 0)]
    return lost


def inodes_of_files(stack: Stack) -> Intp:
    return np.flatnonzero(
        (stack.kinds == EntryType.FILE) & (stack.inodes == np.arange(len(stack.kinds)))
    )


def _by_path(stack: Stack, lost: Intp, hidden_by: Int16) -> tuple[Int32, Int64, Intp, Int16]:
    lost = lost[np.argsort(stack.nodes[lost], kind="stable")]
    nodes = stack.nodes[lost]
    first = np.diff(nodes, prepend=-1) != 0
    nodes, groups = nodes[first], np.cumsum(first) - 1
    sizes = np.zeros(len(nodes), np.int64)
    np.add.at(sizes, groups, stack.sizes[lost])
    versions = np.bincount(groups)
    hiders = np.full(len(nodes), -1, np.int16)
    own = hidden_by[lost] == stack.layers[lost]
    np.maximum.at(hiders, groups[~own], hidden_by[lost[~own]])
    order = np.argsort(-sizes, kind="stable")
    return nodes[order], sizes[order], versions[order], hiders[order]


@dataclass(frozen=True, slots=True)
class LayerWaste:
    """Files of lower layers that a layer hid."""

    layer: int
    size: int  # Bytes of files whose last name it hid.
    #: Those rewritten at the same path with the same content, as far as known.
    copied: int
    paths: list[tuple[bytes, int]]  # The largest of these files, with their bytes.


def by_layer(stack: Stack, count: int = 10) -> list[LayerWaste]:
    """What each layer hid of the layers below it, with the `count` largest paths."""
    rows = np.flatnonzero(stack.types == EntryType.FILE)
    hidden_by = hiders(stack)
    lost = hidden_files(stack, hidden_by)
    lost = lost[hidden_by[lost] > stack.layers[lost]]
    again = np.zeros(len(stack.kinds), np.bool_)
    above = stack.below[rows]
    same = (above >= 0) & (stack.aspects[rows] & np.uint16(Aspect.CONTENT | Aspect.TYPE) == 0)
    again[stack.inodes[above[same]]] = True
    found = []
    for layer in distinct(hidden_by[lost]).tolist():
        own = lost[hidden_by[lost] == layer]
        sizes = stack.sizes[own]
        order = np.lexsort((stack.nodes[own], -sizes))[:count]
        paths = stack.tree.paths(stack.nodes[own[order]].tolist())
        named = list(zip(paths, sizes[order].tolist(), strict=True))
        copied = int(sizes[again[own]].sum())
        found.append(LayerWaste(layer, int(sizes.sum()), copied, named))
    return found
