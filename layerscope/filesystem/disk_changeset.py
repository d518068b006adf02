"""Builds a changeset from the folder in which overlayfs stores a layer.

Whiteouts there are those of the kernel (overlayfs.rst, "whiteouts and opaque directories").
Container engines export such a folder as a tar stream with a whiteout file for each device 0:0 and
each opaque folder; the changeset equals that of the stream.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset, EntryType, UInt8
from layerscope.filesystem.disk_walk import Found, WalkError, walk
from layerscope.text import visible

#: Marks rows to leave out; not an `EntryType`.
_SKIP = 255

_KIND_OF_FORMAT = np.full(16, _SKIP, np.uint8)
for _format, _kind in (
    (0o01, EntryType.FIFO),
    (0o02, EntryType.CHAR),
    (0o04, EntryType.DIR),
    (0o06, EntryType.BLOCK),
    (0o10, EntryType.FILE),
    (0o12, EntryType.SYMLINK),
    # Tar cannot store sockets (0o14), and engines skip them.
):
    _KIND_OF_FORMAT[_format] = _kind

#: The attributes of overlayfs, for root and, with `userxattr`, for other users.
_MARKS = (b"trusted.overlay.", b"user.overlay.")
#: File capabilities, the only attribute outside `user.` that layers have.
_CAPABILITY = b"security.capability"

#: The mode of whiteout files in the tar streams of engines.
_WHITEOUT_MODE = 0o600


def wanted_attribute(name: bytes) -> bool:
    return name == _CAPABILITY or name.startswith((b"user.", b"trusted.overlay."))


def read_folder(
    top: int,
    name: str,
    *,
    live: bool = False,
    advance: Callable[[int], None] | None = None,
    copied: set[bytes] | None = None,
) -> Changeset:
    """Reads the upper or a lower folder of an overlay file system.

    `top` is its descriptor, which stays open. With `live`, the folder may change meanwhile, like
    the upper folder of a running container. `advance` is called with the number of entries found
    so far, and may raise to stop the walk. `copied` receives the paths that were copied up.

    Raises BadInputError if it cannot be read or overlayfs stores content or entries elsewhere.
    """
    try:
        found = walk(top, wanted_attribute, live=live, advance=advance)
    except WalkError as error:
        where = visible(name.encode("utf-8", "surrogateescape") + b"/" + error.path)
        raise BadInputError(where, None, f"it cannot be read ({error.strerror})") from None
    if copied is not None:
        origins = [mark + b"origin" for mark in _MARKS]
        marked = (row for row, own in found.xattrs.items() if not own.keys().isdisjoint(origins))
        copied.update(found.paths[row] for row in marked if row >= 0)
    return changeset_of_walk(found, name)


def changeset_of_walk(found: Found, name: str) -> Changeset:
    """The changeset of a walk's results; raises BadInputError as `read_folder` does."""
    status = found.status
    kinds = _KIND_OF_FORMAT[status["mode"] >> 12]
    devices = np.flatnonzero((kinds == EntryType.CHAR) | (kinds == EntryType.BLOCK))
    numbers = {
        row: (int(status["rdev_major"][row]), int(status["rdev_minor"][row]))
        for row in devices.tolist()
    }
    for row, device in list(numbers.items()):
        if device == (0, 0) and kinds[row] == EntryType.CHAR:
            kinds[row] = EntryType.WHITEOUT
            del numbers[row]
    opaque, xattrs = _marks(found, kinds, name)
    links = dict(found.links)
    _link_inodes(found, kinds, links)
    status, modes = found.status, (found.status["mode"] & 0o7777).astype(np.uint16)
    modes[kinds == EntryType.WHITEOUT] = _WHITEOUT_MODE
    nowhere = np.full(len(kinds), -1, np.int64)
    changeset = Changeset(
        path_blob=b"\0".join(found.paths),
        kinds=kinds,
        modes=modes,
        uids=status["uid"].astype(np.int64),
        gids=status["gid"].astype(np.int64),
        sizes=np.where(kinds == EntryType.FILE, status["size"], 0).astype(np.int64),
        mtimes=status["mtime"].astype(np.int64),
        header_offsets=nowhere,
        data_offsets=nowhere,
        links=links,
        devices=numbers,
        xattrs=xattrs,
    )
    folders = [row for row in opaque if row >= 0]
    if folders or (kinds == _SKIP).any():
        counts = np.where(kinds == _SKIP, 0, 1)
        counts[folders] = 2
        changeset = changeset.take(np.repeat(np.arange(len(kinds)), counts), found.paths)
        marks = np.cumsum(counts)[folders] - 1
        changeset.kinds[marks] = EntryType.OPAQUE
        changeset.mtimes[marks] = 0
    if -1 in opaque:
        # It comes first, as in the stream.
        changeset = changeset.extended([b""], [EntryType.OPAQUE])
        changeset = changeset.take(np.roll(np.arange(len(changeset)), 1))
    return changeset


def _marks(
    found: Found, kinds: UInt8, name: str
) -> tuple[list[int], dict[int, dict[bytes, bytes]]]:
    """The rows of opaque folders, and the attributes that are not overlayfs's own."""
    opaque: list[int] = []
    kept: dict[int, dict[bytes, bytes]] = {}
    for row, values in found.xattrs.items():
        own = {}
        for attribute, value in values.items():
            mark = next(
                (a.removeprefix(m) for m in _MARKS for a in [attribute] if a.startswith(m)), None
            )
            if mark is None:
                own[attribute] = value
            elif mark == b"opaque" and value == b"y":
                opaque.append(row)
            elif mark == b"whiteout" and row >= 0:
                kinds[row] = EntryType.WHITEOUT
            elif mark in (b"metacopy", b"redirect"):
                where = visible(name.encode("utf-8", "surrogateescape") + b"/" + found.paths[row])
                what = "content" if mark == b"metacopy" else "entries"
                problem = f"overlayfs keeps its {what} elsewhere (option {mark.decode()})"
                raise BadInputError(where, None, problem, "Export the image instead.")
        if own and row >= 0:
            kept[row] = own
    return sorted(opaque), kept


def _link_inodes(found: Found, kinds: UInt8, links: dict[int, bytes]) -> None:
    """Makes an inode's first name the file, and the others hard links to it."""
    several = (found.status["nlink"] > 1) & (kinds != EntryType.DIR) & (kinds < EntryType.WHITEOUT)
    first: dict[int, int] = {}
    inodes = found.status["ino"]
    for row in np.flatnonzero(several).tolist():
        earlier = first.setdefault(int(inodes[row]), row)
        if earlier != row:
            kinds[row] = EntryType.HARDLINK
            links[row] = found.paths[earlier]
