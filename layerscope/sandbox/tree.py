"""A working tree instead of an overlay: finds changes by inode and ctime."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.disk_changeset import changeset_of_walk, wanted_attribute
from layerscope.filesystem.disk_walk import Found, walk

_DIR = 0o04
#: Fields to compare for folders in which only a mount's target was moved.
_STEADY = ("ino", "mode", "uid", "gid", "mtime")
#: Fields to compare for files whose ctime is not reliable.
_UNTOUCHED = (*_STEADY, "size")


@dataclass(frozen=True, slots=True)
class Before:
    """A tree before anything ran in it."""

    found: Found
    #: Original modes of folders that were made accessible, by path.
    closed: dict[bytes, int] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        new = file.with_name(f"{file.name}.new")
        with new.open("wb") as writing:
            np.savez(
                writing,
                paths=np.frombuffer(b"\0".join(self.found.paths), np.uint8),
                status=self.found.status,
                closed=np.frombuffer(b"\0".join(self.closed), np.uint8),
                modes=np.array(list(self.closed.values()), np.int64),
            )
        new.replace(file)

    @classmethod
    def load(cls, file: Path) -> Before:
        """Raises FileNotFoundError. The file lacks links and attributes."""
        with np.load(file) as saved:
            paths, closed = (saved[each].tobytes().split(b"\0") for each in ("paths", "closed"))
            modes = saved["modes"].tolist()
            found = Found(paths if paths != [b""] else [], saved["status"], {}, {})
            return cls(found, dict(zip(closed, modes, strict=False)))


def snapshot(top: int, *, live: bool = False) -> Found:
    """Returns the content of a tree; raises WalkError."""
    return walk(top, wanted_attribute, live=live)


def difference(
    before: Found, after: Found, name: str, moved: frozenset[bytes], *, opened: bool = False
) -> tuple[Changeset, set[bytes]]:
    """Returns the changes between two walks of a tree, and the changed paths with the same inode.

    The ctime of `moved` paths is not reliable; with `opened`, nor is that of files that their owner
    may not read, whose mode PRoot changes temporarily to read them.
    """
    earlier = {path: row for row, path in enumerate(before.paths)}
    rows = np.array([earlier.get(path, -1) for path in after.paths], np.int64)
    new = rows < 0
    changed = new.copy()
    kept = np.flatnonzero(~new)
    one, two = before.status[rows[kept]], after.status[kept]
    changed[kept] = np.logical_or.reduce(
        [one[field] != two[field] for field in ("ino", "ctime", "ctime_ns")]
    )
    if opened:
        steady = np.logical_and.reduce([one[field] == two[field] for field in _UNTOUCHED])
        changed[kept] &= ~(steady & (two["mode"] & stat.S_IRUSR == 0))
    there = {path: row for row, path in enumerate(after.paths)}
    for path in moved & there.keys() & earlier.keys():
        a, b = before.status[earlier[path]], after.status[there[path]]
        changed[there[path]] = any(a[field] != b[field] for field in _STEADY)
    folders = {b""} | {
        path
        for path, mode in zip(after.paths, after.status["mode"].tolist(), strict=True)
        if mode >> 12 == _DIR
    }
    removed = [
        path for path in before.paths if path not in there and path.rpartition(b"/")[0] in folders
    ]
    # An overlay includes the parent folders, too.
    for path in [*removed, *(after.paths[row] for row in np.flatnonzero(changed).tolist())]:
        while path := path.rpartition(b"/")[0]:
            if changed[there[path]]:
                break
            changed[there[path]] = True
    chosen = np.flatnonzero(changed).tolist()
    same = {
        after.paths[row]
        for row in chosen
        if rows[row] >= 0 and before.status["ino"][rows[row]] == after.status["ino"][row]
    }
    place = {row: index for index, row in enumerate(chosen)}
    found = Found(
        [after.paths[row] for row in chosen],
        after.status[chosen],
        {place[row]: link for row, link in after.links.items() if row in place},
        {place[row]: own for row, own in after.xattrs.items() if row in place},
    )
    changeset = changeset_of_walk(found, name)
    changeset = changeset.extended(removed, [EntryType.WHITEOUT] * len(removed))
    paths = changeset.paths()
    order = sorted(range(len(paths)), key=lambda row: paths[row].split(b"/"))
    return changeset.take(np.array(order, np.int64)), same
