"""Writes a changeset as the tar of a layer (OCI image specification, layer.md).

The same changeset gives the same bytes: entries in the changeset's order, no names of users and
groups, times in whole seconds, extended attributes as `SCHILY.xattr` records.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable

from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.images.pieces import Piece, filled
from layerscope.text import decode

_TYPES = {
    EntryType.FILE: tarfile.REGTYPE,
    EntryType.HARDLINK: tarfile.LNKTYPE,
    EntryType.SYMLINK: tarfile.SYMTYPE,
    EntryType.DIR: tarfile.DIRTYPE,
    EntryType.CHAR: tarfile.CHRTYPE,
    EntryType.BLOCK: tarfile.BLKTYPE,
    EntryType.FIFO: tarfile.FIFOTYPE,
    EntryType.WHITEOUT: tarfile.REGTYPE,
    EntryType.OPAQUE: tarfile.REGTYPE,
}
_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"
_XATTR = "SCHILY.xattr."


def write_layer(
    changeset: Changeset,
    content: Callable[[int], Iterable[Piece]],
    write: Callable[[bytes], object],
) -> None:
    """Writes a changeset; `content` gives that of a regular file by its row."""
    written = 0

    def put(data: bytes) -> None:
        nonlocal written
        write(data)
        written += len(data)

    for row, path in enumerate(changeset.paths()):
        header = _header(changeset, row, path)
        put(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        if header.size:
            for data in filled(content(row)):
                put(data)
            put(bytes(-written % tarfile.BLOCKSIZE))
    put(bytes(2 * tarfile.BLOCKSIZE))


def _header(changeset: Changeset, row: int, path: bytes) -> tarfile.TarInfo:
    kind = EntryType(int(changeset.kinds[row]))
    folder, slash, name = path.rpartition(b"/")
    if kind is EntryType.WHITEOUT:
        path = folder + slash + _WHITEOUT + name
    elif kind is EntryType.OPAQUE:
        path = path + b"/" + _OPAQUE if path else _OPAQUE
    header = tarfile.TarInfo(decode(path or b"."))
    header.type = _TYPES[kind]
    header.mode = int(changeset.modes[row])
    header.uid, header.gid = int(changeset.uids[row]), int(changeset.gids[row])
    header.mtime = int(changeset.mtimes[row])
    header.size = int(changeset.sizes[row]) if kind is EntryType.FILE else 0
    header.linkname = decode(changeset.links.get(row, b""))
    header.devmajor, header.devminor = changeset.devices.get(row, (0, 0))
    if kind is not EntryType.HARDLINK:
        header.pax_headers = {
            _XATTR + decode(attribute): decode(value)
            for attribute, value in sorted(changeset.xattrs.get(row, {}).items())
        }
    return header
