"""A changeset as bytes: what the cache keeps.

A header of fixed length, a JSON document with what is sparse, and the columns, all compressed with
zstd. Columns are narrowed to the smallest type that holds their values, since most owners are 0.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from layerscope.filesystem.changeset import Changeset

#: Changes whenever what is written changes; what another version wrote is not read.
VERSION = 2

_MAGIC = b"lscs"
#: Magic, version, checksum of the compressed rest, its length uncompressed.
_HEADER = struct.Struct("<4sIIQ")

#: Longer than any changeset of ten million entries; what claims more is damaged.
_MAX_LENGTH = 1 << 32

_COLUMNS = ("kinds", "modes", "uids", "gids", "sizes", "mtimes", "header_offsets", "data_offsets")
_TYPES: dict[str, npt.DTypeLike] = {"kinds": np.uint8, "modes": np.uint16}
_NARROW = (np.int8, np.int16, np.int32, np.int64)


class ChangesetFileError(ValueError):
    """Bytes that are no changeset of this version."""


def dump_changeset(changeset: Changeset) -> bytes:
    """A changeset as bytes."""
    columns = {name: narrowed(getattr(changeset, name)) for name in _COLUMNS}
    document = {
        "rows": len(changeset),
        "paths": len(changeset.path_blob),
        "columns": {name: column.dtype.str for name, column in columns.items()},
        **rare_document(changeset),
        "digests": changeset.digests is not None,
    }
    meta = json.dumps(document, separators=(",", ":")).encode()
    parts = [struct.pack("<Q", len(meta)), meta, changeset.path_blob]
    parts += [column.tobytes() for column in columns.values()]
    if changeset.digests is not None:
        parts.append(changeset.digests.tobytes())
    payload = b"".join(parts)
    compressed = zstandard.ZstdCompressor(level=3).compress(payload)
    header = _HEADER.pack(_MAGIC, VERSION, zlib.crc32(compressed), len(payload))
    return header + compressed


def load_changeset(data: bytes) -> Changeset:
    """The changeset in bytes that `dump_changeset` made.

    Raises:
        ChangesetFileError: They are damaged, or of another version.
    """
    try:
        magic, version, checksum, length = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != VERSION or length > _MAX_LENGTH:
            raise ChangesetFileError("not a changeset of this version")
        compressed = memoryview(data)[_HEADER.size :]
        if zlib.crc32(compressed) != checksum:
            raise ChangesetFileError("the checksum is wrong")
        if zstandard.frame_content_size(compressed) != length:
            raise ChangesetFileError("the length is wrong")
        payload = zstandard.ZstdDecompressor().decompress(compressed)
        return _parse(payload)
    except (struct.error, zstandard.ZstdError, KeyError, TypeError, ValueError) as error:
        raise ChangesetFileError(str(error)) from None


def _parse(payload: bytes) -> Changeset:
    (length,) = struct.unpack_from("<Q", payload)
    place = 8 + length
    document: dict[str, Any] = json.loads(payload[8:place])
    rows = document["rows"]
    paths = payload[place : place + document["paths"]]
    place += document["paths"]
    columns: dict[str, Any] = {}
    for name in _COLUMNS:
        dtype = np.dtype(document["columns"][name])
        column = np.frombuffer(payload, dtype, rows, place)
        columns[name] = column.astype(_TYPES.get(name, np.int64))
        place += column.nbytes
    digests = None
    if document["digests"]:
        digests = np.frombuffer(payload, np.uint8, rows * 32, place).reshape(rows, 32)
    return Changeset(
        path_blob=paths,
        **columns,
        **rare_values(document),
        digests=digests,
    )


def rare_document(changeset: Changeset) -> dict[str, Any]:
    """What few rows of a changeset have, for JSON."""
    return {
        "links": {row: _text(link) for row, link in changeset.links.items()},
        "devices": changeset.devices,
        "xattrs": {
            row: {_text(key): _text(value) for key, value in xattrs.items()}
            for row, xattrs in changeset.xattrs.items()
        },
        "sparse": changeset.sparse,
    }


def rare_values(document: dict[str, Any]) -> dict[str, Any]:
    """What `rare_document` made a document of, as a changeset takes it."""
    return {
        "links": {int(row): _bytes(link) for row, link in document["links"].items()},
        "devices": {int(row): (int(a), int(b)) for row, (a, b) in document["devices"].items()},
        "xattrs": {
            int(row): {_bytes(key): _bytes(value) for key, value in xattrs.items()}
            for row, xattrs in document["xattrs"].items()
        },
        "sparse": {
            int(row): [(int(a), int(b)) for a, b in pieces]
            for row, pieces in document["sparse"].items()
        },
    }


def narrowed(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column in the smallest type that holds all its values."""
    if column.dtype != np.int64 or not len(column):
        return column
    low, high = int(column.min()), int(column.max())
    for dtype in _NARROW:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return column.astype(dtype)
    return column


def _text(data: bytes) -> str:
    """Bytes for JSON: as they are if they are plain, else in base 64 behind a NUL."""
    if data.isascii() and b"\0" not in data:
        return data.decode("ascii")
    return "\0" + base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text[1:]) if text.startswith("\0") else text.encode("ascii")
