"""Stacks of layers written by hand, as the core reads them, in the words of the reference."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.byte_source import Stream
from tests.archives import Item, layer_tar


def stack_of(layers: Iterable[bytes]) -> Stack:
    """Return the stack of some layers' tars, with the content of their files compared."""
    return Stack([read_changeset(Stream(io.BytesIO(each).read, digest=True)) for each in layers])


def stack_of_items(layers: Sequence[Sequence[Item]]) -> Stack:
    """Return the stack of layers with these entries."""
    return stack_of(layer_tar(items) for items in layers)


def union_of(stack: Stack, layer: int) -> dict[str, tuple[object, ...]]:
    """Return the union with a layer on top: type, mode, uid, gid, size, mtime, symlink target."""
    found: dict[str, tuple[object, ...]] = {}
    for row in stack.union(layer).tolist():
        kind = EntryType(int(stack.types[row]))
        link = stack.link(int(stack.inodes[row])) if kind is EntryType.SYMLINK else None
        path = stack.tree.path(int(stack.nodes[row])).decode("utf-8", "surrogateescape")
        assert path not in found
        if path:
            found[path] = (
                *(kind.label, int(stack.modes[row]), int(stack.uids[row]), int(stack.gids[row])),
                *(int(stack.sizes[row]), int(stack.mtimes[row])),
                None if link is None else link.decode("utf-8", "surrogateescape"),
            )
    return found


def changes_of(stack: Stack, layer: int) -> dict[tuple[str, str], str]:
    """Return the changes of a layer, by path and by `entry` or whiteout type."""
    found = {}
    for row in stack.changed(layer).tolist():
        kind = EntryType(int(stack.kinds[row]))
        path = stack.tree.path(int(stack.nodes[row])).decode("utf-8", "surrogateescape")
        what = kind.label if kind in (EntryType.WHITEOUT, EntryType.OPAQUE) else "entry"
        found[path, what] = Change(int(stack.changes[row])).label
    return found
