"""Small writers of eStargz and zstd:chunked layers, with every kind of entry in them."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import tarfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import zstandard

from layerscope.oci.toc import STARGZ_DIGEST
from tests.unit.images.registry.misbehaving_registry import TIME, noise

CHUNKED = "io.github.containers.zstd-chunked."

_TYPES = {
    tarfile.REGTYPE: "reg",
    tarfile.LNKTYPE: "hardlink",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.DIRTYPE: "dir",
    tarfile.FIFOTYPE: "fifo",
}


@dataclass(frozen=True)
class Item:
    """An entry of a layer."""

    name: str
    content: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = TIME
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    def header(self) -> bytes:
        """The tar header, with the pax header before it if it needs one."""
        info = tarfile.TarInfo(self.name)
        info.size, info.type, info.linkname = len(self.content), self.type, self.link
        info.mode, info.uid, info.gid, info.mtime = self.mode, self.uid, self.gid, self.mtime
        info.devmajor, info.devminor = self.device
        info.pax_headers = {
            f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
            for key, value in self.xattrs.items()
        }
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def entry(self) -> dict[str, Any]:
        """What a table of contents says of it, but for the place of its content."""
        moment = datetime.fromtimestamp(self.mtime, UTC)
        said: dict[str, Any] = {
            "type": _TYPES[self.type],
            "name": self.name + "/" * (self.type == tarfile.DIRTYPE),
            "modtime": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "mode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
            "linkName": self.link,
            "size": len(self.content),
            "devMajor": self.device[0],
            "devMinor": self.device[1],
            "xattrs": {key: b64encode(value).decode() for key, value in self.xattrs.items()},
        }
        if self.content:
            said["digest"] = "sha256:" + hashlib.sha256(self.content).hexdigest()
        # Go leaves out what is empty.
        return {key: value for key, value in said.items() if value or key == "name"}


class _Written:
    """A layer as it is written, with its entries."""

    def __init__(self, pack: Callable[[bytes], bytes]) -> None:
        self._pack = pack
        self.stored, self.plain = bytearray(), bytearray()
        self.entries: list[dict[str, Any]] = []
        self.pending = b""  # What is to be written in front of the next header.

    def add(self, data: bytes) -> int:
        """Writes a piece, and returns where it begins."""
        offset = len(self.stored)
        if data:
            self.stored.extend(self._pack(data))
            self.plain.extend(data)
        return offset

    def add_item(self, item: Item, chunk: int, *, zeros: bool = False) -> list[dict[str, Any]]:
        """Writes an entry, and returns the records of its chunks."""
        self.add(self.pending + item.header())
        pieces = _chunks(item, chunk)
        for number, (start, data) in enumerate(pieces):
            place: dict[str, Any] = {"offset": self.add(data)}
            if len(pieces) > 1:
                place |= {"chunkOffset": start, "chunkSize": len(data)}
                if zeros and not data.strip(b"\0"):
                    place["chunkType"] = "zeros"
            head = {"type": "chunk", "name": item.name} if number else item.entry()
            self.entries.append({**head, **place})
        if not pieces:
            self.entries.append(item.entry())
        self.pending = _padding(len(item.content))
        return self.entries[-len(pieces) :] if pieces else []

    def document(self, change: Any) -> dict[str, Any]:
        document = {"version": 1, "entries": self.entries}
        if change is not None:
            change(document)
        return document


def everything(size: int = 300_000) -> list[Item]:
    """Entries of every kind; the large file in the middle makes up most of the layer."""
    return [
        Item("etc", type=tarfile.DIRTYPE, mode=0o755),
        Item("etc/passwd", b"root:x:0:0\n", mode=0o600, uid=3, gid=4),
        Item("etc/copy", type=tarfile.LNKTYPE, link="etc/passwd", mode=0o600, uid=3, gid=4),
        Item("etc/link", type=tarfile.SYMTYPE, link="../etc/passwd", mode=0o777),
        Item("bin", type=tarfile.DIRTYPE, mode=0o1777),
        Item("bin/large", noise(size), mode=0o4755, xattrs={"security.capability": b"\x01\0\x02"}),
        Item("bin/empty"),
        Item("dev/null", type=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
        Item("dev/disk", type=tarfile.BLKTYPE, device=(8, 1), mode=0o660, gid=6),
        Item("run/fifo", type=tarfile.FIFOTYPE, mtime=-1),
        Item("etc/.wh.gone"),
        Item("opaque/.wh..wh..opq"),
        Item("name with ü and <angles>", b"x"),
        Item("later", b"the last one\n"),
    ]


def _member(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _padding(size: int) -> bytes:
    return bytes(-size % 512)


def _chunks(item: Item, size: int) -> list[tuple[int, bytes]]:
    return [
        (start, item.content[start : start + size]) for start in range(0, len(item.content), size)
    ]


@dataclass(frozen=True)
class TocLayer:
    """A layer as it is stored, and what it is uncompressed."""

    stored: bytes
    plain: bytes
    annotations: dict[str, str]


def estargz(
    items: Iterable[Item], *, chunk: int = 100_000, change: Any = None, legacy: bool = False
) -> TocLayer:
    """Writes an eStargz layer.

    Args:
        chunk: Size of the chunks that large files are cut into.
        change: A function that changes the table before it is written.
        legacy: Whether to write the shorter footer of stargz.
    """
    written = _Written(_member)
    for item in items:
        written.add_item(item, chunk)
    written.add(written.pending)
    document = written.document(change)
    table = json.dumps(document, indent="\t").encode()
    own = Item("stargz.index.json", table, mode=0o444, mtime=0)
    offset = written.add(own.header() + table + _padding(len(table)) + bytes(1024))
    text = b"%016xSTARGZ" % offset
    extra = text if legacy else b"SG" + struct.pack("<H", 22) + text
    footer = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H", len(extra)) + extra
    footer += b"\x01\0\0\xff\xff" + struct.pack("<II", zlib.crc32(b""), 0)
    assert len(footer) == (47 if legacy else 51)
    digest = "sha256:" + hashlib.sha256(table).hexdigest()
    data = bytes(written.stored) + footer
    return TocLayer(data, bytes(written.plain), {STARGZ_DIGEST: digest})


def zstd_chunked(items: Iterable[Item], *, chunk: int = 100_000, change: Any = None) -> TocLayer:
    """Writes a zstd:chunked layer; runs of zeros become holes in the table."""
    compressor = zstandard.ZstdCompressor()
    written = _Written(compressor.compress)
    stored = written.stored
    for item in items:
        if places := written.add_item(item, chunk, zeros=True):
            places[0]["endOffset"] = len(stored)
    written.add(written.pending + bytes(1024))
    table = json.dumps(written.document(change)).encode()
    compressed = compressor.compress(table)
    stored.extend(b"\x50\x2a\x4d\x18" + struct.pack("<I", len(compressed)))
    offset = len(stored)
    stored.extend(compressed)
    stored.extend(b"\x50\x2a\x4d\x18" + struct.pack("<I", 64) + bytes(56) + b"GNUlInUx")
    return TocLayer(
        bytes(stored),
        bytes(written.plain),
        {
            f"{CHUNKED}manifest-position": f"{offset}:{len(compressed)}:{len(table)}:1",
            f"{CHUNKED}manifest-checksum": "sha256:" + hashlib.sha256(compressed).hexdigest(),
        },
    )
