"""The changeset that turns one tree of files into another."""

from __future__ import annotations

import numpy as np

from layerscope.filesystem.changeset import Changeset, EntryType

_COMPARED = ("kinds", "modes", "uids", "gids", "sizes", "mtimes")


def difference(below: Changeset, tree: Changeset) -> Changeset:
    """The layer that changes `below` to `tree`; both are trees without whiteouts.

    A file with the same metadata counts as unchanged.
    """
    rows = {path: row for row, path in enumerate(below.paths())}
    paths = tree.paths()
    columns = [(getattr(tree, name), getattr(below, name)) for name in _COMPARED]
    rare = [(getattr(tree, name), getattr(below, name)) for name in ("links", "devices", "xattrs")]

    def differs(row: int, old: int | None) -> bool:
        return (
            old is None
            or any(new[row] != before[old] for new, before in columns)
            or any(new.get(row) != before.get(old) for new, before in rare)
        )

    changed = [row for row, path in enumerate(paths) if differs(row, rows.get(path))]
    kept = set(paths)
    folders = {paths[row] for row in np.flatnonzero(tree.kinds == EntryType.DIR).tolist()} | {b""}
    # Entries in a removed folder need no whiteouts of their own.
    gone = [path for path in rows if path not in kept and path.rpartition(b"/")[0] in folders]
    changeset = tree.take(np.array(changed, np.int64), paths)
    return changeset.extended(gone, [EntryType.WHITEOUT] * len(gone)) if gone else changeset
