"""Writes the headers of tar entries from columns, thousands at a time.

The format is POSIX.1-1988 (ustar), with POSIX.1-2001 (pax) records for values that do not fit
(OCI image specification, layer.md, "Distributable Format"). Equal columns produce equal bytes:
there are no user and group names, and times are whole seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.oci.tar_header import (
    BLOCK,
    CHECKSUM,
    DEVMAJOR,
    DEVMINOR,
    GID,
    LINKNAME,
    MAGIC_POSIX,
    MODE,
    MTIME,
    NAME,
    PAX_NEXT,
    PREFIX,
    SIZE,
    TYPEFLAG,
    UID,
)

#: The end of an archive.
END = bytes(2 * BLOCK)

_NAME_SIZE = NAME.stop - NAME.start
_PREFIX_SIZE = PREFIX.stop - PREFIX.start
_XATTR = b"SCHILY.xattr."

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of an archive, in order."""

    names: Sequence[bytes]  # Folders end with a slash.
    types: Column  # Type flags.
    modes: Column
    uids: Column
    gids: Column
    sizes: Column  # Bytes of content that follow each header.
    mtimes: Column  # Whole seconds; may be negative.
    links: Mapping[int, bytes] = field(default_factory=dict)  # Targets by row.
    devices: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    xattrs: Mapping[int, Mapping[bytes, bytes]] = field(default_factory=dict)
    #: For sparse files: the whole size, and offset and length of the pieces after the header.
    sparse: Mapping[int, tuple[int, Sequence[tuple[int, int]]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Headers:
    blocks: bytes  # A block for each entry.
    #: The bytes before an entry's block, by row: a pax header and its records.
    before: Mapping[int, bytes]


def encode(entries: Entries) -> Headers:
    """The headers of entries; the caller writes the content, padded to whole blocks."""
    count = len(entries.names)
    blocks = np.zeros((count, BLOCK), np.uint8)
    records: dict[int, dict[bytes, bytes]] = {}
    _put_names(blocks, entries.names, records)
    blocks[:, TYPEFLAG] = entries.types
    blocks[:, slice(257, 265)] = np.frombuffer(MAGIC_POSIX + b"00", np.uint8)
    numbers = (
        (MODE, entries.modes, b""),
        (UID, entries.uids, b"uid"),
        (GID, entries.gids, b"gid"),
        (SIZE, entries.sizes, b"size"),
        (MTIME, entries.mtimes, b"mtime"),
    )
    for place, column, key in numbers:
        _put_numbers(blocks, place, column, key, records)
    for which, (place, key) in enumerate(
        ((DEVMAJOR, b"SCHILY.devmajor"), (DEVMINOR, b"SCHILY.devminor"))
    ):
        column = np.zeros(count, np.int64)
        for row, pair in entries.devices.items():
            column[row] = pair[which]
        _put_numbers(blocks, place, column, key, records)
    for row, target in entries.links.items():
        if len(target) > _NAME_SIZE or not target.isascii():
            records.setdefault(row, {})[b"linkpath"] = target
        _put(blocks[row], LINKNAME, target[:_NAME_SIZE])
    for row, attributes in entries.xattrs.items():
        own = records.setdefault(row, {})
        own |= {_XATTR + name: value for name, value in sorted(attributes.items())}
    for row, (size, pieces) in entries.sparse.items():
        # GNU sparse format 0.1, entirely in records; a map without pieces is invalid.
        places = [number for piece in pieces or [(size, 0)] for number in piece]
        records.setdefault(row, {}).update(
            {
                b"GNU.sparse.numblocks": b"%d" % (len(places) // 2),
                b"GNU.sparse.size": b"%d" % size,
                b"GNU.sparse.map": b",".join(b"%d" % number for number in places),
            }
        )
    _put_checksums(blocks)
    return Headers(blocks.tobytes(), {row: _pax(records[row]) for row in sorted(records)})


def _put(block: Column, place: slice, text: bytes) -> None:
    block[place.start : place.start + len(text)] = np.frombuffer(text, np.uint8)


def _put_names(
    blocks: Column, names: Sequence[bytes], records: dict[int, dict[bytes, bytes]]
) -> None:
    if not names:
        return
    # Longer names are cut here, and replaced below.
    column = np.array(names, f"S{_NAME_SIZE}")
    blocks[:, NAME] = column.view(np.uint8).reshape(len(names), _NAME_SIZE)
    odd = [row for row, name in enumerate(names) if len(name) > _NAME_SIZE or not name.isascii()]
    for row in odd:
        name = names[row]
        # A slash at which the name can be split.
        cut = name.rfind(b"/", 0, min(_PREFIX_SIZE + 1, len(name) - 1))
        if name.isascii() and cut > 0 and len(name) - cut - 1 <= _NAME_SIZE:
            blocks[row, NAME] = 0
            _put(blocks[row], NAME, name[cut + 1 :])
            _put(blocks[row], PREFIX, name[:cut])
        else:
            records.setdefault(row, {})[b"path"] = name


def _put_numbers(
    blocks: Column, place: slice, column: Column, key: bytes, records: dict[int, dict[bytes, bytes]]
) -> None:
    """Writes a column as octal digits; a value that does not fit becomes a record, with 0 here."""
    digits = place.stop - place.start - 1
    values = column.astype(np.int64)
    odd = np.flatnonzero((values < 0) | (values >= 1 << 3 * digits))
    for row in odd.tolist():
        records.setdefault(row, {})[key] = b"%d" % int(values[row])
    values[odd] = 0
    for digit in range(digits - 1, -1, -1):
        blocks[:, place.start + digit] = (values & 7) + ord("0")
        values >>= 3


def _put_checksums(blocks: Column) -> None:
    blocks[:, CHECKSUM] = ord(" ")
    sums = blocks.sum(axis=1, dtype=np.int64)
    for digit in range(5, -1, -1):
        blocks[:, CHECKSUM.start + digit] = (sums & 7) + ord("0")
        sums >>= 3
    blocks[:, CHECKSUM.start + 6] = 0


def _pax(records: Mapping[bytes, bytes]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records.items())
    header = np.zeros((1, BLOCK), np.uint8)
    _put(header[0], NAME, b"PaxHeaders.0/entry")
    header[0, TYPEFLAG] = PAX_NEXT
    header[0, slice(257, 265)] = np.frombuffer(MAGIC_POSIX + b"00", np.uint8)
    for place, number in ((MODE, 0o644), (UID, 0), (GID, 0), (SIZE, len(data)), (MTIME, 0)):
        _put_numbers(header, place, np.array([number]), b"", {})
    _put_checksums(header)
    return header.tobytes() + data + bytes(-len(data) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """A pax record, whose length includes its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(b"%d" % length):
        length = len(rest) + len(b"%d" % length)
    return b"%d" % length + rest
