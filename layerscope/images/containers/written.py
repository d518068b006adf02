"""What a container's read-write layer would add to an image, and what should be left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.unwanted import unwanted_content, unwanted_file, unwanted_nodes
from layerscope.filesystem.view import layer_view
from layerscope.images.files.contents import Contents
from layerscope.images.loading import Loaded

#: The most files whose beginning is read to find keys, and the largest of them.
_MOST_FILES, _LARGEST = 500, 64 << 10
_BEGINNING = 4096


@dataclass(frozen=True, slots=True)
class Written:
    """A path that a container added, modified or removed."""

    path: bytes  # Without leading slash.
    kind: EntryType
    change: Change
    size: int  # Bytes that it adds to the image.
    row: int  # Its version, or the removed one.
    unwanted: str = ""  # Why it should not be in an image, in a few words; empty if it may.

    @property
    def minor(self) -> bool:
        """Whether it is a folder that changed only because something in it did."""
        return (
            self.kind is EntryType.DIR and self.change is not Change.REMOVED and not self.unwanted
        )


def written(
    loaded: Loaded, contents: Contents | None, check: Callable[[], None] = lambda: None
) -> list[Written]:
    """The changes in a container's topmost layer, largest first, then by path.

    Paths below a removed folder are left out. `contents` is None if files cannot be read;
    `check` may raise to stop.
    """
    stack = loaded.stack
    found = list(_changed(loaded))
    found.sort(key=lambda each: (-each.size, each.path))
    if contents is None:
        return found
    left = _MOST_FILES
    for place, each in enumerate(found):
        if each.unwanted or each.kind is not EntryType.FILE or not 0 < each.size <= _LARGEST:
            continue
        if not left:
            break
        left -= 1
        check()
        try:
            beginning = contents.read_all(stack, each.row, _BEGINNING)
        except Cancelled:
            raise
        except LayerscopeError:
            continue  # A running container may have removed it.
        found[place] = replace(each, unwanted=unwanted_content(beginning))
    return found


def _changed(loaded: Loaded) -> Iterator[Written]:
    stack, layer = loaded.stack, loaded.stack.height - 1
    view = layer_view(stack, layer)
    nodes = np.flatnonzero((view.versions >= 0) & (view.changes != Change.UNCHANGED)).tolist()
    reasons = unwanted_nodes(stack.tree)
    gone: set[int] = set()
    seen: set[int] = set()
    parents = stack.tree.parents
    for node, path in zip(nodes, stack.tree.paths(nodes), strict=True):
        row, change = int(view.versions[node]), Change(int(view.changes[node]))
        kind = EntryType(int(stack.types[row]))
        if change is Change.REMOVED:
            gone.add(node)
            if int(parents[node]) not in gone:
                yield Written(path, kind, change, 0, row)
            continue
        inode = int(stack.inodes[row])
        own = inode not in seen and int(stack.layers[inode]) == layer
        seen.add(inode)
        size = int(stack.sizes[inode]) if own and kind is EntryType.FILE else 0
        # An empty folder of a cache or of logs is harmless.
        why = "" if kind is EntryType.DIR else reasons[node]
        if kind is EntryType.FILE:
            why = unwanted_file(path) or why
        yield Written(path, kind, change, size, row, why)


def total(changes: Sequence[Written]) -> int:
    """The bytes that the changes add."""
    return sum(each.size for each in changes)
