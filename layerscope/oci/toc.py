"""Layers with a table of contents: eStargz (gzip) and zstd:chunked.

Both are valid compressed tars that include a JSON document with the tar header of every entry and
the offset of its content. The document is a few per cent of the layer's size.

Go writes the JSON, with U+FFFD for bytes that are not UTF-8, so a table with such a name does not
match the layer. It is rejected, as is anything invalid: after a `TocError`, the layer itself must
be read.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from layerscope.oci import tar_header as th
from layerscope.oci.tar_columns import TarColumns

#: The annotation with the digest of an eStargz table, uncompressed.
STARGZ_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
#: The name of the tar entry with the table, which every engine unpacks.
STARGZ_ENTRY = b"stargz.index.json"
#: Sizes of the two footers: empty gzip members with the table's offset in their extra field.
STARGZ_FOOTERS = (51, 47)

# The prefixes of containers/storage, and of its first versions and stargz-snapshotter.
_CHUNKED_PREFIXES = ("io.github.containers.zstd-chunked.", "io.containers.zstd-chunked.")
_CHUNKED_JSON = 1

#: The largest table; beyond it, the layer is streamed instead.
MAX_TOC = 128 << 20

_TYPES = {
    "reg": th.FILE,
    "hardlink": th.LINK,
    "symlink": th.SYMLINK,
    "char": th.CHAR,
    "block": th.BLOCKDEV,
    "dir": th.DIR,
    "fifo": th.FIFO,
}
_NOT_UTF8 = "\ufffd"
# Go's zero time, which tar writers store as the epoch.
_GO_ZERO = "0001-01-01T00:00:00Z"


class TocError(ValueError):
    """A table of contents that is missing, damaged or wrong."""


@dataclass(frozen=True, slots=True)
class ChunkedPlace:
    """The location of the table of a zstd:chunked layer."""

    offset: int  # Offset in the layer as stored.
    size: int
    full_size: int  # Uncompressed.
    digest: str  # SHA-256 of the stored table.


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file's content."""

    start: int  # Offset in the file.
    size: int
    offset: int  # Start of the compressed member that contains it; -1 for a hole.
    inner: int  # Offset in that member's content.


@dataclass(slots=True)
class Toc:
    columns: TarColumns  # The entries; their offsets in the tar are unknown.
    chunks: list[Chunk] = field(default_factory=list)  # The chunks of the wanted file, in order.
    #: All offsets in the table: each member ends where another begins.
    offsets: list[int] = field(default_factory=list)


def stargz_toc_offset(tail: bytes) -> int | None:
    """The offset of an eStargz table, from the footer at the end of the layer, or None."""
    for size in STARGZ_FOOTERS:
        footer = tail[-size:]
        if len(footer) < size or footer[:4] != b"\x1f\x8b\x08\x04":
            continue
        extra = footer[12 : 12 + int.from_bytes(footer[10:12], "little")]
        if size == STARGZ_FOOTERS[0]:
            if extra[:4] != b"SG\x16\0":
                continue
            extra = extra[4:]
        if len(extra) == 22 and extra[16:] == b"STARGZ":
            try:
                return int(extra[:16].decode("ascii"), 16)
            except ValueError:
                continue
    return None


def chunked_place(annotations: Mapping[str, str], layer_size: int) -> ChunkedPlace | None:
    """The location of a layer's zstd:chunked table, from its annotations, or None.

    Raises TocError if they are invalid.
    """
    for prefix in _CHUNKED_PREFIXES:
        position = annotations.get(f"{prefix}manifest-position")
        digest = annotations.get(f"{prefix}manifest-checksum")
        if position is None or digest is None:
            continue
        parts = position.split(":")
        if len(parts) != 4 or not all(p.isascii() and p.isdigit() and len(p) < 16 for p in parts):
            raise TocError("the position of the table of contents is not valid")
        offset, size, full_size, kind = map(int, parts)
        if kind != _CHUNKED_JSON or not size or offset + size > layer_size or full_size > MAX_TOC:
            raise TocError("the table of contents is of an unknown kind, or too large")
        return ChunkedPlace(offset, size, full_size, digest)
    return None


def parse_toc(data: bytes, wanted: bytes | None = None) -> Toc:
    """Parses a table of contents.

    `wanted` is the name of a file whose chunks to collect, as `oci` layers write it, without
    leading dot or slash.

    Raises TocError if it is invalid.
    """
    reader = _Reader(wanted)
    try:
        document = json.loads(data, object_hook=reader.take)
        if not isinstance(document, dict) or document.get("version") != 1:
            raise TocError("the table of contents has an unknown version")
        entries = document.get("entries")
        if not isinstance(entries, list) or len(entries) != reader.count or any(entries):
            raise TocError("the table of contents has no list of entries")
        return reader.toc()
    except TocError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise TocError("the table of contents is damaged") from None


class _Reader:
    """Takes entries as the JSON parser finds them, so that few are in memory at once."""

    def __init__(self, wanted: bytes | None) -> None:
        self.count = 0  # The number of entries taken, including chunks.
        self._wanted = wanted
        self._chunks: list[tuple[int, int, int, int]] = []
        self._size = 0
        self._offsets: list[int] = []
        self._names: list[bytes] = []
        self._kinds: list[int] = []
        self._numbers: tuple[list[int], ...] = ([], [], [], [], [])
        self._links: dict[int, bytes] = {}
        self._devices: dict[int, tuple[int, int]] = {}
        self._xattrs: dict[int, dict[bytes, bytes]] = {}
        self._digests: dict[int, bytes] = {}
        self._times: dict[str, int] = {}

    def take(self, entry: dict[str, Any]) -> object:
        """Called for every JSON object, innermost first."""
        kind, name = entry.get("type"), entry.get("name")
        if not isinstance(kind, str) or not isinstance(name, str):
            return entry
        self.count += 1
        path = _bytes(name)
        size = _number(entry, "size")
        if self._wanted is not None and kind in ("reg", "chunk"):
            self._note_chunk(entry, kind, path, size)
        if kind == "chunk":
            return None
        flag = _TYPES.get(kind)
        if flag is None:
            raise TocError("the table of contents has an entry of unknown type")
        row = len(self._names)
        self._names.append(path)
        self._kinds.append(flag)
        modes, uids, gids, sizes, mtimes = self._numbers
        modes.append(_number(entry, "mode") & 0o7777)
        uids.append(_number(entry, "uid"))
        gids.append(_number(entry, "gid"))
        sizes.append(size if flag == th.FILE else 0)
        mtimes.append(self._time(entry.get("modtime")))
        if flag in (th.LINK, th.SYMLINK):
            link = entry.get("linkName")
            if not isinstance(link, str):
                raise TocError("the table of contents has a link without a target")
            self._links[row] = _bytes(link)
        elif flag in (th.CHAR, th.BLOCKDEV):
            self._devices[row] = (_number(entry, "devMajor"), _number(entry, "devMinor"))
        elif flag == th.FILE and size:
            self._take_digest(row, entry.get("digest"))
        xattrs = entry.get("xattrs")
        if xattrs:
            self._xattrs[row] = _xattrs(xattrs)
        return None

    def toc(self) -> Toc:
        modes, uids, gids, sizes, mtimes = (np.array(n, np.int64) for n in self._numbers)
        nowhere = np.full(len(self._names), -1, np.int64)
        columns = TarColumns(
            names=self._names,
            links=self._links,
            kinds=np.array(self._kinds, np.uint8),
            modes=modes,
            uids=uids,
            gids=gids,
            sizes=sizes,
            mtimes=mtimes,
            devices=self._devices,
            offsets=nowhere,
            data_offsets=nowhere.copy(),
            xattrs=self._xattrs,
            digests=self._digests,
        )
        return Toc(columns, self._ordered_chunks(), sorted(set(self._offsets)))

    def _note_chunk(self, entry: dict[str, Any], kind: str, path: bytes, size: int) -> None:
        offset = _number(entry, "offset")
        if offset:
            self._offsets.append(offset)
        if path.strip(b"/").removeprefix(b"./") != self._wanted:
            return
        if kind == "reg":
            # Of repeated names the last one wins.
            self._chunks, self._size = [], size
        if entry.get("chunkType") == "zeros":
            offset = -1
        start, length = _number(entry, "chunkOffset"), _number(entry, "chunkSize")
        self._chunks.append((start, length, offset, _number(entry, "innerOffset")))

    def _ordered_chunks(self) -> list[Chunk]:
        """The chunks of the file, which must be contiguous."""
        chunks: list[Chunk] = []
        reached = 0
        for start, size, offset, inner in self._chunks if self._size else []:
            size = size or self._size - start
            if start != reached or size <= 0 or offset == 0:
                raise TocError("the chunks of a file do not fit together")
            chunks.append(Chunk(start, size, offset, inner))
            reached += size
        if reached != self._size:
            raise TocError("the chunks of a file do not make up its size")
        return chunks

    def _time(self, text: object) -> int:
        if text is None or text in ("", _GO_ZERO):
            return 0
        if not isinstance(text, str):
            raise TocError("the table of contents has an invalid time")
        known = self._times.get(text)
        if known is None:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise TocError("the table of contents has a time without a zone")
            known = self._times[text] = timegm(moment.astimezone(UTC).timetuple())
        return known

    def _take_digest(self, row: int, text: object) -> None:
        if isinstance(text, str) and text.startswith("sha256:"):
            digest = bytes.fromhex(text[7:])
            if len(digest) != 32:
                raise TocError("the table of contents has an invalid digest")
            self._digests[row] = digest


def _bytes(text: str) -> bytes:
    if _NOT_UTF8 in text or "\0" in text:
        raise TocError("the table of contents has a name that is not what the layer has")
    return text.encode()


def _number(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= th.MAX_NUMBER:
        raise TocError(f"the table of contents has an invalid {key}")
    return value


def _xattrs(xattrs: object) -> dict[bytes, bytes]:
    if not isinstance(xattrs, dict):
        raise TocError("the table of contents has invalid xattrs")
    found: dict[bytes, bytes] = {}
    for key, value in xattrs.items():
        try:
            found[_bytes(key)] = b64decode(value or "", validate=True)
        except (Base64Error, TypeError, ValueError):
            raise TocError("the table of contents has an xattr that is not base64") from None
    return found
