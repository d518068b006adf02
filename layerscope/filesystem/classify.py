"""Says of every version whether its layer added, modified or kept its path, and in what."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.apply import Applied, Bool, UInt16
from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.tree import Int32


def classify(applied: Applied) -> tuple[UInt16, Bool]:
    """Fills `applied.changes` for all versions but whiteouts.

    Returns:
        `Aspect` bits of each version, and whether it is a regular file over one of the same size
        whose bytes nobody has compared yet. Where the rest is equal too, such a version counts as
        unchanged until then.
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

    def note(aspect: Aspect, differs: npt.NDArray[np.bool_]) -> None:
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
        # As in every archive that can seek, and then there are many questions.
        unread[rows[questions]] = True
        questions[:] = False
    for place in np.flatnonzero(questions).tolist():
        equal = _equal_digests(applied, int(rows[place]), int(lower[place]))
        if equal is None:
            unread[rows[place]] = True
        elif not equal:
            found[place] |= np.uint16(Aspect.CONTENT)
    note(Aspect.LINK, _differs(applied, rows, lower, types, EntryType.SYMLINK, "links"))
    note(Aspect.DEVICE, _differs(applied, rows, lower, types, EntryType.CHAR, "devices"))
    note(Aspect.DEVICE, _differs(applied, rows, lower, types, EntryType.BLOCK, "devices"))
    if any(changeset.xattrs for changeset in applied.changesets):
        note(Aspect.XATTRS, _xattrs_differ(applied, rows, lower))
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


def _differs(
    applied: Applied,
    rows: Int32,
    lower: Int32,
    types: npt.NDArray[np.uint8],
    kind: EntryType,
    column: str,
) -> Bool:
    """Where two versions of one type have different values in a sparse column."""
    result: Bool = np.zeros(len(rows), np.bool_)
    for index in np.flatnonzero((types[rows] == kind) & (types[lower] == kind)).tolist():
        values = []
        for version in (int(rows[index]), int(lower[index])):
            place = place_of(applied, int(applied.inodes[version]))
            values.append(None if place is None else getattr(place[0], column).get(place[1]))
        result[index] = values[0] != values[1]
    return result


def _xattrs_differ(applied: Applied, rows: Int32, lower: Int32) -> Bool:
    bearers = {
        applied.bases[layer] + row
        for layer, changeset in enumerate(applied.changesets)
        for row in changeset.xattrs
    }
    marked = np.zeros(len(applied.kinds), np.bool_)
    marked[list(bearers)] = True
    result: Bool = np.zeros(len(rows), np.bool_)
    inodes = applied.inodes
    suspects = marked[inodes[rows]] | marked[inodes[lower]]
    for index in np.flatnonzero(suspects).tolist():
        values = []
        for version in (int(rows[index]), int(lower[index])):
            place = place_of(applied, int(inodes[version]))
            values.append({} if place is None else place[0].xattrs.get(place[1], {}))
        result[index] = values[0] != values[1]
    return result
