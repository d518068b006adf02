"""A changeset as bytes, for the cache.

A header of fixed length; then, compressed with zstd, a JSON document with the sparse columns,
followed by the other columns, narrowed to the smallest type that holds their values.
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

from layerscope.filesystem.changeset import COLUMNS, Changeset, narrowed

#: Raised whenever the format changes; files of other versions are not read.
VERSION = 3

_MAGIC = b"lscs"
#: Magic, version, checksum of the compressed rest, its uncompressed length.
_HEADER = struct.Struct("<4sIIQ")

#: Longer than any changeset of ten million entries.
_MAX_LENGTH = 1 << 32

_TYPES: dict[str, npt.DTypeLike] = {"kinds": np.uint8, "modes": np.uint16}


class ChangesetFileError(ValueError):
    """Bytes that are not a changeset of this version."""


def dump_changeset(changeset: Changeset) -> bytes:
    columns = {name: narrowed(getattr(changeset, name)) for name in COLUMNS}
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


def load_changeset(data: bytes, most: int = _MAX_LENGTH) -> Changeset:
    """Reads the output of `dump_changeset`, at most `most` bytes uncompressed.

    Raises ChangesetFileError if it is damaged or of another version.
    """
    try:
        magic, version, checksum, length = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != VERSION or length > most:
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
    for name in COLUMNS:
        dtype = np.dtype(document["columns"][name])
        column = np.frombuffer(payload, dtype, rows, place)
        columns[name] = column.astype(_TYPES.get(name, np.int64))
        place += column.nbytes
    digests = None
    if document["digests"]:
        digests = np.frombuffer(payload, np.uint8, rows * 32, place).reshape(rows, 32)
    return Changeset(path_blob=paths, **columns, **rare_values(document), digests=digests)


def rare_document(changeset: Changeset) -> dict[str, Any]:
    return {
        "links": {row: as_text(link) for row, link in changeset.links.items()},
        "devices": changeset.devices,
        "xattrs": {
            row: {as_text(key): as_text(value) for key, value in xattrs.items()}
            for row, xattrs in changeset.xattrs.items()
        },
        "sparse": changeset.sparse,
        "outside": {row: as_text(name) for row, name in changeset.outside.items()},
    }


def rare_values(document: dict[str, Any]) -> dict[str, Any]:
    """The arguments for `Changeset` in the result of `rare_document`."""
    return {
        "links": {int(row): as_bytes(link) for row, link in document["links"].items()},
        "devices": {int(row): (int(a), int(b)) for row, (a, b) in document["devices"].items()},
        "xattrs": {
            int(row): {as_bytes(key): as_bytes(value) for key, value in xattrs.items()}
            for row, xattrs in document["xattrs"].items()
        },
        "sparse": {
            int(row): [(int(a), int(b)) for a, b in pieces]
            for row, pieces in document["sparse"].items()
        },
        "outside": {int(row): as_bytes(name) for row, name in document["outside"].items()},
    }


def as_text(data: bytes) -> str:
    """Bytes for JSON: unchanged if ASCII, else a NUL and base64."""
    if data.isascii() and b"\0" not in data:
        return data.decode("ascii")
    return "\0" + base64.b64encode(data).decode("ascii")


def as_bytes(text: str) -> bytes:
    return base64.b64decode(text[1:]) if text.startswith("\0") else text.encode("ascii")
