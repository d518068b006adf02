"""Waste: bytes that an image ships and nobody can read, by path and by the layer that hid them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.change import NEVER, Aspect
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack


class WastedPath(NamedTuple):
    """Hidden versions of one path.

    Attributes:
        path: The path, without leading slash.
        size: Bytes of all its hidden versions.
        versions: How many there are.
        hidden_by: The layer that hid the last of them; None if that was its own layer.
    """

    path: bytes
    size: int
    versions: int
    hidden_by: int | None


@dataclass(frozen=True, slots=True)
class Waste:
    """What a stack ships and what of it can be seen.

    Attributes:
        layer_sizes: Sum of the sizes of each layer's regular files, each inode once.
        visible_size: The same sum over the union at the top.
        columns: The fields of `paths`, a list for each.
    """

    layer_sizes: tuple[int, ...]
    visible_size: int
    columns: tuple[list[bytes], list[int], list[int], list[int | None]]

    @property
    def count(self) -> int:
        """How many paths there are with hidden versions."""
        return len(self.columns[0])

    @property
    def paths(self) -> list[WastedPath]:
        """Paths with hidden versions, largest first."""
        return self.largest(self.count)

    def largest(self, count: int) -> list[WastedPath]:
        """The first of `paths`."""
        columns = [column[:count] for column in self.columns]
        return list(map(WastedPath._make, zip(*columns, strict=True)))

    @property
    def size(self) -> int:
        """Sum of the layers' sizes."""
        return sum(self.layer_sizes)

    @property
    def wasted_size(self) -> int:
        """Bytes that are shipped and cannot be read."""
        return self.size - self.visible_size

    @property
    def efficiency(self) -> float:
        """Visible bytes ÷ shipped bytes; 1.0 if there are none."""
        return self.visible_size / self.size if self.size else 1.0


def measure(stack: Stack) -> Waste:
    """Measures the waste of a stack.

    A file with several names is wasted once its last name is hidden, and by the layer that hid it.
    """
    sizes = tuple(stack.layer_size(layer) for layer in range(stack.height))
    hidden_by = hiders(stack)
    files = _files(stack)
    visible = int(stack.sizes[files[hidden_by[files] == NEVER]].sum())
    lost = hidden_files(stack, hidden_by)
    return Waste(sizes, visible, _by_path(stack, lost, hidden_by))


def hiders(stack: Stack) -> npt.NDArray[np.int16]:
    """For each inode, by its row, the layer that hid the last of its names, or `NEVER`."""
    rows = np.flatnonzero(stack.types == EntryType.FILE)
    hidden_by = np.zeros(len(stack.kinds), np.int16)
    np.maximum.at(hidden_by, stack.inodes[rows], stack.hidden_by[rows])
    return hidden_by


def hidden_files(stack: Stack, hidden_by: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
    """Rows of the inodes that nobody can read and that have bytes.

    Args:
        stack: The layers.
        hidden_by: Its `hiders`.
    """
    files = _files(stack)
    lost: npt.NDArray[np.intp] = files[(hidden_by[files] != NEVER) & (stack.sizes[files] > 0)]
    return lost


def _files(stack: Stack) -> npt.NDArray[np.intp]:
    """Rows of the inodes of regular files."""
    return np.flatnonzero(
        (stack.kinds == EntryType.FILE) & (stack.inodes == np.arange(len(stack.kinds)))
    )


def _by_path(
    stack: Stack,
    lost: np.ndarray[tuple[int], np.dtype[np.intp]],
    hidden_by: np.ndarray[tuple[int], np.dtype[np.int16]],
) -> tuple[list[bytes], list[int], list[int], list[int | None]]:
    if not len(lost):
        return [], [], [], []
    nodes = stack.nodes[lost]
    lost = lost[np.argsort(nodes, kind="stable")]
    nodes = stack.nodes[lost]
    first = np.concatenate([[True], nodes[1:] != nodes[:-1]])
    nodes, groups = nodes[first], np.cumsum(first) - 1
    sizes = np.zeros(len(nodes), np.int64)
    np.add.at(sizes, groups, stack.sizes[lost])
    versions = np.bincount(groups)
    hiders = np.full(len(nodes), -1, np.int16)
    own = hidden_by[lost] == stack.layers[lost]
    np.maximum.at(hiders, groups[~own], hidden_by[lost[~own]])
    order = np.argsort(-sizes, kind="stable")
    return (
        stack.tree.paths(nodes[order].tolist()),
        sizes[order].tolist(),
        versions[order].tolist(),
        [hider if hider >= 0 else None for hider in hiders[order].tolist()],
    )


@dataclass(frozen=True, slots=True)
class LayerWaste:
    """What a layer hid of the layers below it.

    Attributes:
        layer: Its number.
        size: Bytes of files whose last name it hid.
        copied: Those of them that are at the same path again, with the same content as far as that
            is known.
        paths: The largest of these files, with their bytes.
    """

    layer: int
    size: int
    copied: int
    paths: list[tuple[bytes, int]]


def by_layer(stack: Stack, count: int = 10) -> list[LayerWaste]:
    """What each layer hid of those below it; layers that hid nothing are left out.

    Args:
        stack: The layers.
        count: How many paths to name for each.
    """
    rows = np.flatnonzero(stack.types == EntryType.FILE)
    hidden_by = hiders(stack)
    lost = hidden_files(stack, hidden_by)
    lost = lost[hidden_by[lost] > stack.layers[lost]]
    again = np.zeros(len(stack.kinds), np.bool_)
    above = stack.below[rows]
    same = (above >= 0) & (stack.aspects[rows] & np.uint16(Aspect.CONTENT | Aspect.TYPE) == 0)
    again[stack.inodes[above[same]]] = True
    found = []
    for layer in np.unique(hidden_by[lost]).tolist():
        own = lost[hidden_by[lost] == layer]
        sizes = stack.sizes[own]
        order = np.lexsort((stack.nodes[own], -sizes))[:count]
        paths = stack.tree.paths(stack.nodes[own[order]].tolist())
        named = list(zip(paths, sizes[order].tolist(), strict=True))
        copied = int(sizes[again[own]].sum())
        found.append(LayerWaste(layer, int(sizes.sum()), copied, named))
    return found
