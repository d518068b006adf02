"""Determines whether each version was added, modified or kept by its layer, and what differs."""

from __future__ import annotations

import numpy as np

from layerscope.filesystem.apply import Applied
from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import Bool, Changeset, EntryType, Int32, UInt16


def classify(applied: Applied) -> tuple[UInt16, Bool]:
    """Fills `applied.changes` for all versions except whiteouts.

    Returns `Aspect` bits of each version, and whether it is a regular file over one of the same
    size whose content has not been compared. If nothing else differs, it counts as unchanged.
    """
    total = len(applied.kinds)
    aspects: UInt16 = np.zeros(total, np.uint16)
    unread: Bool = np.zeros(total, np.bool_)
    types = applied.kinds[applied.inodes]
    real = applied.kinds < EntryType.WHITEOUT
    applied.changes[real & (applied.below < 0)] = Change.ADDED
    rows = np.flatnonzero(real & (applied.below >= 0)).astype(np.int32)
    if not len(rows):
        return aspects, unread
    lower = applied.below[rows]
    found: UInt16 = np.zeros(len(rows), np.uint16)

    def note(aspect: Aspect, differs: Bool) -> None:
        found[differs] |= np.uint16(aspect)

    note(Aspect.TYPE, types[rows] != types[lower])
    note(Aspect.MODE, applied.modes[rows] != applied.modes[lower])
    note(
        Aspect.OWNER,
        (applied.uids[rows] != applied.uids[lower]) | (applied.gids[rows] != applied.gids[lower]),
    )
    note(Aspect.MTIME, applied.mtimes[rows] != applied.mtimes[lower])
    note(Aspect.CONTENT, applied.sizes[rows] != applied.sizes[lower])
    both_files = (types[rows] == EntryType.FILE) & (types[lower] == EntryType.FILE)
    same_size = both_files & (found & Aspect.CONTENT == 0) & (applied.sizes[rows] > 0)
    questions = same_size & (applied.inodes[rows] != applied.inodes[lower])
    if all(changeset.digests is None for changeset in applied.changesets):
        # All seekable archives do; they may contain many such files.
        unread[rows[questions]] = True
        questions[:] = False
    for place in np.flatnonzero(questions).tolist():
        equal = _equal_digests(applied, int(rows[place]), int(lower[place]))
        if equal is None:
            unread[rows[place]] = True
        elif not equal:
            found[place] |= np.uint16(Aspect.CONTENT)
    for kind, aspect, column in (
        (EntryType.SYMLINK, Aspect.LINK, "links"),
        (EntryType.CHAR, Aspect.DEVICE, "devices"),
        (EntryType.BLOCK, Aspect.DEVICE, "devices"),
    ):
        suspects = (types[rows] == kind) & (types[lower] == kind)
        note(aspect, _differs(applied, rows, lower, suspects, column))
    if any(changeset.xattrs for changeset in applied.changesets):
        marked = _with_xattrs(applied)
        note(Aspect.XATTRS, _differs(applied, rows, lower, marked[rows] | marked[lower], "xattrs"))
    aspects[rows] = found
    applied.changes[rows[found != 0]] = Change.MODIFIED
    return aspects, unread


def place_of(applied: Applied, row: int) -> tuple[Changeset, int] | None:
    """The changeset of a version and its row there; None for an implied folder."""
    if row >= applied.bases[-1]:
        return None
    layer = int(applied.layers[row])
    return applied.changesets[layer], row - applied.bases[layer]


def _equal_digests(applied: Applied, row: int, lower: int) -> bool | None:
    digests: list[bytes] = []
    for version in (row, lower):
        place = place_of(applied, int(applied.inodes[version]))
        if place is None or place[0].digests is None:
            return None
        digest = place[0].digests[place[1]].tobytes()
        if not digest.strip(b"\0"):
            return None
        digests.append(digest)
    return digests[0] == digests[1]


def _differs(applied: Applied, rows: Int32, lower: Int32, suspects: Bool, column: str) -> Bool:
    """Which suspects differ from the version below in a sparse column."""
    result: Bool = np.zeros(len(rows), np.bool_)
    for index in np.flatnonzero(suspects).tolist():
        values = []
        for version in (int(rows[index]), int(lower[index])):
            place = place_of(applied, int(applied.inodes[version]))
            values.append(None if place is None else getattr(place[0], column).get(place[1]))
        result[index] = values[0] != values[1]
    return result


def _with_xattrs(applied: Applied) -> Bool:
    marked: Bool = np.zeros(len(applied.kinds), np.bool_)
    for base, changeset in zip(applied.bases, applied.changesets, strict=False):
        marked[[base + row for row, values in changeset.xattrs.items() if values]] = True
    return marked[applied.inodes]
