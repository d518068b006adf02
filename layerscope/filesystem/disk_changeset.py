"""Builds a changeset from the folder in which overlayfs keeps a layer.

The kernel's own documentation (overlayfs.rst, "whiteouts and opaque directories") says what means
what there. Container engines hand such a folder out as a tar stream, with a whiteout file in place
of each device 0:0 and each mark of an opaque folder; the changeset is the same as of that stream.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.disk_walk import Found, WalkError, walk
from layerscope.text import visible

Int64 = npt.NDArray[np.int64]

#: Marks rows that are left out; no entry type.
_SKIP = 255

_KIND_OF_FORMAT = np.full(16, _SKIP, np.uint8)
for _format, _kind in (
    (0o01, EntryType.FIFO),
    (0o02, EntryType.CHAR),
    (0o04, EntryType.DIR),
    (0o06, EntryType.BLOCK),
    (0o10, EntryType.FILE),
    (0o12, EntryType.SYMLINK),
    # Sockets (0o14) have no place in a layer: no tar can hold them, and engines pass them over.
):
    _KIND_OF_FORMAT[_format] = _kind

#: What overlayfs writes, for root and, with `userxattr`, for everybody else.
_MARKS = (b"trusted.overlay.", b"user.overlay.")
#: File capabilities, the one attribute outside of `user.` that layers carry.
_CAPABILITY = b"security.capability"

#: The mode that engines give the files that stand for whiteouts in a layer's tar stream.
_WHITEOUT_MODE = 0o600


def _wanted(name: bytes) -> bool:
    return name == _CAPABILITY or name.startswith((b"user.", b"trusted.overlay."))


def read_folder(
    top: int,
    name: str,
    *,
    live: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Changeset:
    """Reads the upper or a lower folder of an overlay file system.

    Args:
        top: The folder, open; it stays so.
        name: What it is called, for errors.
        live: Whether it may change meanwhile: the upper folder of a running container.
        advance: Told now and then how many entries have been found; may raise to stop the walk.

    Raises:
        BadInputError: It cannot be read, or its files do not hold their own content.
    """
    try:
        found = walk(top, _wanted, live=live, advance=advance)
    except WalkError as error:
        where = visible(name.encode("utf-8", "surrogateescape") + b"/" + error.path)
        raise BadInputError(where, None, f"it cannot be read ({error.strerror})") from None
    return _changeset(found, name)


def _changeset(found: Found, name: str) -> Changeset:
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
    counts = np.where(kinds == _SKIP, 0, 1)
    counts[[row for row in opaque if row >= 0]] = 2
    rows = np.repeat(np.arange(len(kinds)), counts)
    changeset = _columns(found, kinds, rows)
    changeset.links = links
    changeset.devices = numbers
    changeset.xattrs = xattrs
    if opaque or len(rows) != len(kinds):
        places = (np.cumsum(counts) - counts).tolist()
        for column in ("links", "devices", "xattrs"):
            values = getattr(changeset, column)
            setattr(changeset, column, {places[row]: value for row, value in values.items()})
        for row in opaque:
            if row >= 0:
                changeset.kinds[places[row] + 1] = EntryType.OPAQUE
                changeset.mtimes[places[row] + 1] = 0
    if -1 in opaque:
        changeset = _with_opaque_top(changeset)
    return changeset


def _columns(found: Found, kinds: npt.NDArray[np.uint8], rows: Int64) -> Changeset:
    status = found.status
    paths = found.paths
    if len(rows) != len(paths):
        paths = [paths[row] for row in rows.tolist()]
    status, kinds = status[rows], kinds[rows]
    modes = (status["mode"] & 0o7777).astype(np.uint16)
    modes[kinds == EntryType.WHITEOUT] = _WHITEOUT_MODE
    nowhere = np.full(len(rows), -1, np.int64)
    return Changeset(
        path_blob=b"\0".join(paths),
        kinds=kinds,
        modes=modes,
        uids=status["uid"].astype(np.int64),
        gids=status["gid"].astype(np.int64),
        sizes=np.where(kinds == EntryType.FILE, status["size"], 0).astype(np.int64),
        mtimes=status["mtime"].astype(np.int64),
        header_offsets=nowhere,
        data_offsets=nowhere,
    )


def _marks(
    found: Found, kinds: npt.NDArray[np.uint8], name: str
) -> tuple[list[int], dict[int, dict[bytes, bytes]]]:
    """Takes overlayfs's own attributes out.

    Returns:
        The rows of opaque folders, and the attributes that belong to the files themselves.
    """
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
                raise BadInputError(
                    where,
                    None,
                    f"overlayfs keeps its {what} elsewhere (option {mark.decode()})",
                    "Export the image instead.",
                )
        if own and row >= 0:
            kept[row] = own
    return sorted(opaque), kept


def _link_inodes(found: Found, kinds: npt.NDArray[np.uint8], links: dict[int, bytes]) -> None:
    """Of several names of one inode, the first is the file and the others are links to it."""
    several = (found.status["nlink"] > 1) & (kinds != EntryType.DIR) & (kinds < EntryType.WHITEOUT)
    first: dict[int, int] = {}
    inodes = found.status["ino"]
    for row in np.flatnonzero(several).tolist():
        earlier = first.setdefault(int(inodes[row]), row)
        if earlier != row:
            kinds[row] = EntryType.HARDLINK
            links[row] = found.paths[earlier]


def _with_opaque_top(changeset: Changeset) -> Changeset:
    """Adds the opaque whiteout of the root folder."""
    zero = np.zeros(1, np.int64)
    return Changeset(
        path_blob=b"\0" + changeset.path_blob if len(changeset) else b"",
        kinds=np.concatenate([np.array([EntryType.OPAQUE], np.uint8), changeset.kinds]),
        modes=np.concatenate([zero.astype(np.uint16), changeset.modes]),
        uids=np.concatenate([zero, changeset.uids]),
        gids=np.concatenate([zero, changeset.gids]),
        sizes=np.concatenate([zero, changeset.sizes]),
        mtimes=np.concatenate([zero, changeset.mtimes]),
        header_offsets=np.concatenate([zero - 1, changeset.header_offsets]),
        data_offsets=np.concatenate([zero - 1, changeset.data_offsets]),
        links={row + 1: value for row, value in changeset.links.items()},
        devices={row + 1: value for row, value in changeset.devices.items()},
        xattrs={row + 1: value for row, value in changeset.xattrs.items()},
    )
