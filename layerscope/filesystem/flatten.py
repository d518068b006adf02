"""New layers from a stack: several merged into one, one without some paths, a whole view."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from layerscope.filesystem.changeset import Bool, Changeset, EntryType, Int32
from layerscope.filesystem.stack import Stack


@dataclass(frozen=True, slots=True)
class Flattened:
    changeset: Changeset
    #: For each row, the version in the stack with its content.
    inodes: Int32


def merged(stack: Stack, first: int) -> Flattened:
    """Merges the layers of a stack from `first` on into one with the same effect.

    It has the entries that these layers show, whiteouts for what they hide in lower layers, and
    their opaque whiteouts if the folder still exists. Raises no error that applying the layers did
    not.
    """
    tree, top = stack.tree, stack.height - 1
    union = stack.union(top)
    own = stack.layers[union] >= first
    shown: Bool = np.zeros(len(tree), np.bool_)
    shown[stack.nodes[union]] = True
    folders = np.zeros(len(tree), np.bool_)
    folders[0] = True
    folders[stack.nodes[union[stack.types[union] == EntryType.DIR]]] = True
    gone: list[int] = []
    opaque: list[int] = []
    below = stack.nodes[stack.union(first - 1)] if first else stack.nodes[:0]
    if first:
        marks = stack.nodes[(stack.kinds == EntryType.OPAQUE) & (stack.layers >= first)]
        opaque = [node for node in np.unique(marks).tolist() if node and folders[node]]
        covered = np.zeros(len(tree), np.bool_)
        for node in opaque:
            covered[node + 1 : tree.ends[node]] = True
        # Entries in a removed folder need no whiteouts of their own.
        gone = below[~shown[below] & folders[tree.parents[below]] & ~covered[below]].tolist()
    rows = union[own]
    rows = _without_implied(stack, rows, [*gone, *opaque], below)
    return _layer(stack, rows, union[~own], gone, opaque)


def without(stack: Stack, dropped: Bool) -> Flattened:
    """The top layer of a stack without some nodes.

    If a file loses its own name, its first other name in the layer becomes the file.
    """
    rows = np.arange(*stack.bases[-2:], dtype=np.int32)
    rows = rows[~dropped[stack.nodes[rows]]]
    kinds = stack.kinds[rows]
    gone, opaque = (
        stack.nodes[rows[kinds == kind]].tolist() for kind in (EntryType.WHITEOUT, EntryType.OPAQUE)
    )
    rows = rows[kinds < EntryType.WHITEOUT]
    rows = rows[np.argsort(stack.nodes[rows], kind="stable")]
    union = stack.union(stack.height - 1)
    return _layer(stack, rows, union[stack.layers[union] < stack.height - 1], gone, opaque)


def view_changeset(stack: Stack, rows: Int32, others: Int32 | None = None) -> Changeset:
    """Visible versions, sorted by node, as a layer of their own.

    Names of one inode become hard links to the first of them, or to one of `others`: visible
    versions outside the layer.
    """
    others = rows[:0] if others is None else others
    paths = stack.tree.paths(stack.nodes[rows].tolist())
    inodes = stack.inodes[rows]
    kinds = stack.types[rows].copy()
    sizes = stack.sizes[rows].copy()
    links: dict[int, bytes] = {}
    symlinks = (kinds == EntryType.SYMLINK) | (kinds == EntryType.HARDLINK)
    for place in np.flatnonzero(symlinks).tolist():
        target = stack.link(int(inodes[place]))
        if target is not None:
            links[place] = target
    named = np.concatenate([others, rows])
    _, first, which = np.unique(stack.inodes[named], return_index=True, return_inverse=True)
    stands = first[which][len(others) :] - len(others)
    again = (stands != np.arange(len(rows))) & (kinds != EntryType.DIR)
    for place in np.flatnonzero(again).tolist():
        links[place] = stack.tree.path(int(stack.nodes[named[stands[place] + len(others)]]))
    kinds[again] = EntryType.HARDLINK
    sizes[again] = 0
    nowhere = np.full(len(rows), -1, np.int64)
    result = Changeset(
        path_blob=b"\0".join(paths),
        kinds=kinds,
        modes=stack.modes[rows],
        uids=stack.uids[rows],
        gids=stack.gids[rows],
        sizes=sizes,
        mtimes=stack.mtimes[rows],
        header_offsets=nowhere,
        data_offsets=nowhere,
        links=links,
    )
    for place in np.flatnonzero((kinds == EntryType.CHAR) | (kinds == EntryType.BLOCK)).tolist():
        device = stack.device(int(rows[place]))
        if device is not None:
            result.devices[place] = device
    for name in ("xattrs", "sparse"):
        _copy_rare(stack, inodes, np.flatnonzero(~again), name, getattr(result, name))
    result.digests = _digests(stack, inodes)
    return result


def _layer(
    stack: Stack, rows: Int32, others: Int32, gone: list[int], opaque: list[int]
) -> Flattened:
    """Versions and marks as a layer in path order: each folder precedes its contents."""
    marks = [(node, EntryType.WHITEOUT) for node in gone]
    marks += [(node, EntryType.OPAQUE) for node in opaque]
    changeset = view_changeset(stack, rows, others)
    inodes = stack.inodes[rows]
    if not marks:
        return Flattened(changeset, inodes)
    paths = stack.tree.paths(node for node, _ in marks)
    changeset = changeset.extended(paths, [int(kind) for _, kind in marks])
    nodes = np.concatenate([stack.nodes[rows], [node for node, _ in marks]])
    inodes = np.concatenate([inodes, np.full(len(marks), -1, np.int32)])
    # A whiteout precedes its replacement: engines turn it into a file, which must not exist yet.
    kinds = np.where(changeset.kinds == EntryType.WHITEOUT, -1, changeset.kinds.astype(np.int16))
    order = np.lexsort((kinds, nodes))
    return Flattened(changeset.take(order.astype(np.int64)), inodes[order])


def _without_implied(stack: Stack, rows: Int32, marks: list[int], below: Int32) -> Int32:
    """Leaves out folders that engines create anyway for their contents.

    A folder that replaces a lower one must stay, or it would merge with it.
    """
    implied = (rows >= stack.bases[-1]) & ~np.isin(stack.nodes[rows], below)
    needed = sorted([*stack.nodes[rows[~implied]].tolist(), *marks])
    ends, keep = stack.tree.ends, ~implied
    # From the deepest: an entry for one implies those above it.
    for place in np.flatnonzero(implied)[::-1].tolist():
        node = int(stack.nodes[rows[place]])
        at = bisect_left(needed, node + 1)
        if at == len(needed) or needed[at] >= ends[node]:
            keep[place] = True
            needed.insert(at, node)
    return rows[keep]


def _copy_rare(
    stack: Stack, inodes: Int32, places: np.ndarray, name: str, into: dict[int, object]
) -> None:
    """Copies a sparse column to the first names of files."""
    bearers = [
        stack.bases[layer] + row
        for layer, changeset in enumerate(stack.changesets)
        for row in getattr(changeset, name)
    ]
    if not bearers:
        return
    for place in places[np.isin(inodes[places], bearers)].tolist():
        found = stack.place(int(inodes[place]))
        if found is not None:
            into[place] = getattr(found[0], name)[found[1]]


def _digests(stack: Stack, inodes: Int32) -> np.ndarray | None:
    if not any(changeset.digests is not None for changeset in stack.changesets):
        return None
    digests = np.zeros((len(inodes), 32), np.uint8)
    layers = stack.layers[inodes]
    for layer, changeset in enumerate(stack.changesets):
        if changeset.digests is not None:
            own = np.flatnonzero((layers == layer) & (inodes < stack.bases[-1]))
            digests[own] = changeset.digests[inodes[own] - stack.bases[layer]]
    return digests
