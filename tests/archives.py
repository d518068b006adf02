"""Tar archives, layers and saved images, made in short ways, and all ways to read them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.byte_source import ByteSource, FileRange, Stream, TruncatedError
from layerscope.oci.tar_columns import TarColumns, decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan

#: When entries were modified, unless something else is said.
TIME = 1_500_000_000
TAG = "layerscope.test/by-hand:latest"

BLOCK = 512
END = bytes(2 * BLOCK)

USTAR = b"ustar\x0000"
GNU = b"ustar  \0"
V7 = bytes(8)


# --- byte by byte ---


def octal(number: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, number)


def base256(number: int, width: int) -> bytes:
    """GNU's binary numbers, for what does not fit octal digits."""
    data = number.to_bytes(width, "big", signed=True)
    return bytes([data[0] | 0x80]) + data[1:] if number >= 0 else data


def header(
    name: bytes,
    *,
    kind: bytes = b"0",
    size: bytes | int = 0,
    mode: bytes | int = 0o644,
    uid: bytes | int = 0,
    gid: bytes | int = 0,
    mtime: bytes | int = 0,
    link: bytes = b"",
    magic: bytes = USTAR,
    devices: tuple[int, int] = (0, 0),
    tail: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header block. Numbers may be given as the raw bytes of their field."""

    def raw(value: bytes | int, width: int) -> bytes:
        return octal(value, width) if isinstance(value, int) else value.ljust(width, b"\0")

    numbers = raw(mode, 8) + raw(uid, 8) + raw(gid, 8) + raw(size, 12) + raw(mtime, 12)
    device = octal(devices[0], 8) + octal(devices[1], 8)
    front = name.ljust(100, b"\0") + numbers
    back = kind + link.ljust(100, b"\0") + magic.ljust(8, b"\0") + bytes(64) + device + tail
    back = back.ljust(BLOCK - 156, b"\0")
    if checksum is None:
        checksum = b"%06o\0 " % sum(front + b" " * 8 + back)
    block = front + checksum + back
    assert len(block) == BLOCK
    return block


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def entry(name: bytes, data: bytes = b"", **fields: Any) -> bytes:
    """A header and its content."""
    return header(name, **{"size": len(data), **fields}) + padded(data)


def pax_record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    total = size + len(str(size))
    while total != size + len(str(total)):
        total = size + len(str(total))
    return b"%d %s=%s\n" % (total, key, value)


def pax(
    records: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]], kind: bytes = b"x"
) -> bytes:
    """An extended header; as pairs, a record may come twice."""
    pairs = records.items() if isinstance(records, Mapping) else records
    data = b"".join(pax_record(key, value) for key, value in pairs)
    # Some engines make the folders above a global header, as if it were a file.
    return entry(b"pax_global_header" if kind == b"g" else b"PaxHeaders/x", data, kind=kind)


# --- entry by entry ---

_FLAGS = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


@dataclass(frozen=True)
class Item:
    """An entry of a layer's tar. Whiteouts are files with the names that the format gives them."""

    name: str
    kind: str = "file"
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = TIME
    link: str = ""
    device: tuple[int, int] = (0, 0)
    pax: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def member(self) -> tarfile.TarInfo:
        """The entry as the standard library writes it."""
        info = tarfile.TarInfo(self.name)
        info.type = _FLAGS[self.kind]
        info.size = len(self.content)
        info.mode, info.uid, info.gid, info.mtime = self.mode, self.uid, self.gid, self.mtime
        info.linkname = self.link
        info.devmajor, info.devminor = self.device
        info.pax_headers = self.pax
        return info


def folder(name: str, **fields: Any) -> Item:
    """Return an entry for a folder."""
    return Item(name, "dir", **{"mode": 0o755, **fields})


def text(name: str, content: str = "text\n", **fields: Any) -> Item:
    """Return an entry for a file."""
    return Item(name, content=content.encode(), **fields)


def symlink(name: str, target: str, **fields: Any) -> Item:
    """Return an entry for a symlink."""
    return Item(name, "symlink", link=target, **{"mode": 0o777, **fields})


def hard_link(name: str, target: str, **fields: Any) -> Item:
    """Return an entry for a hard link."""
    return Item(name, "hardlink", link=target, **fields)


def whiteout(path: str) -> Item:
    """Return an entry that removes a path of the layers below."""
    above, slash, name = path.rpartition("/")
    return Item(f"{above}{slash}.wh.{name}", mode=0)


def opaque(path: str) -> Item:
    """Return an entry that removes all that the layers below have in a folder."""
    return Item(f"{path}/.wh..wh..opq" if path else ".wh..wh..opq", mode=0)


def layer_tar(items: Iterable[Item], tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a layer, with its entries in the order given."""
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=tar_format, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for item in items:
            tar.addfile(item.member, io.BytesIO(item.content))
    return stream.getvalue()


# --- images ---


def plain_tar(files: Sequence[tuple[str, bytes]]) -> bytes:
    """An uncompressed archive of some files, by name."""
    return b"".join(entry(name.encode(), data) for name, data in files) + END


def diff_id(layer: bytes) -> str:
    """The digest of a layer's tar, which may be compressed, or damaged."""
    for magic, decompress in (
        (b"\x1f\x8b", gzip.decompress),
        (b"\xfd7zXZ", lzma.decompress),
        (b"\x28\xb5\x2f\xfd", _unzstd),
    ):
        if layer.startswith(magic):
            with suppress(EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError):
                layer = decompress(layer)
    return "sha256:" + hashlib.sha256(layer).hexdigest()


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def saved(
    *layers: bytes,
    config: Mapping[str, Any] | None = None,
    tags: Sequence[str] = ("example/app:1",),
    manifest: Any = None,
    edit: Callable[[list[tuple[str, bytes]]], None] | None = None,
) -> bytes:
    """A `docker save` archive of the old form.

    Args:
        layers: Layers as they are stored.
        config: What replaces fields of the configuration.
        tags: References of the image.
        manifest: What stands in place of the manifest; bytes as they are.
        edit: Changes the files before they are packed.
    """
    names = [f"{hashlib.sha256(data).hexdigest()}/layer.tar" for data in layers]
    document = {
        "os": "linux",
        "architecture": "amd64",
        "created": "2024-05-06T07:08:09Z",
        "rootfs": {
            "type": "layers",
            "diff_ids": [diff_id(data) for data in layers],
        },
        "history": [
            {"created_by": f"/bin/sh -c make {number}", "created": "2024-05-06T07:08:09Z"}
            for number in range(len(layers))
        ],
        **(config or {}),
    }
    content = json.dumps(document).encode()
    config_name = hashlib.sha256(content).hexdigest() + ".json"
    if manifest is None:
        manifest = [{"Config": config_name, "RepoTags": list(tags), "Layers": names}]
    if not isinstance(manifest, bytes):
        manifest = json.dumps(manifest).encode()
    files = [(config_name, content), *dict(zip(names, layers, strict=True)).items()]
    files.append(("manifest.json", manifest))
    if edit is not None:
        edit(files)
    return plain_tar(files)


def docker_archive(layers: Sequence[bytes], tag: str = TAG) -> bytes:
    """An image of these layers, of which engines make containers too."""
    created = "2020-01-01T00:00:00Z"
    config = {
        "config": {"Cmd": ["-"]},
        "created": created,
        "history": [
            {"created": created, "created_by": f"/bin/sh -c layer {number}"}
            for number in range(len(layers))
        ],
    }
    return saved(*layers, config=config, tags=[tag])


def write_archive(folder_path: Path, layers: Sequence[bytes], tag: str = TAG) -> Path:
    """Write an image of these layers and return its path."""
    path = folder_path / "image.tar"
    path.write_bytes(docker_archive(layers, tag))
    return path


# --- in short, and read in every way ---


@contextmanager
def seekable(data: bytes) -> Iterator[FileRange]:
    """The bytes in a file; there are others before and behind them."""
    fd = os.memfd_create("layerscope-test")
    try:
        os.write(fd, b"\xff" * 7 + data + b"\xff" * 5)
        yield FileRange(fd, 7, 7 + len(data))
    finally:
        os.close(fd)


def streamed(data: bytes, piece: int = 1 << 20, *, digest: bool = False) -> Stream:
    """The bytes as they come from a pipe, at most so many at once."""
    file = io.BytesIO(data)
    return Stream(lambda size: file.read(min(size, piece)), digest=digest)


def read_tar(source: ByteSource, batch_size: int = 4096) -> list[TarColumns]:
    return list(decode(scan(source, batch_size)))


def entries(source: ByteSource, batch_size: int = 4096) -> list[dict[str, Any]]:
    """All entries of an archive, as one dict each."""
    result = []
    for part in read_tar(source, batch_size):
        for row, name in enumerate(part.names):
            result.append(
                {
                    "name": name,
                    "kind": chr(part.kinds[row]),
                    "mode": int(part.modes[row]),
                    "uid": int(part.uids[row]),
                    "gid": int(part.gids[row]),
                    "size": int(part.sizes[row]),
                    "mtime": int(part.mtimes[row]),
                    "link": part.links.get(row, b""),
                    "device": part.devices.get(row),
                    "xattrs": part.xattrs.get(row, {}),
                    "sparse": part.sparse.get(row),
                    "offset": int(part.offsets[row]),
                    "data_offset": int(part.data_offsets[row]),
                }
            )
    return result


def both_ways(data: bytes) -> list[dict[str, Any]]:
    """The entries of an archive, after checking that every way of reading gives the same."""
    with seekable(data) as source:
        result = entries(source)
        assert entries(source, 1) == result
        assert entries(source.part(0, len(data))) == result
    for piece in (1 << 20, 700, 13):
        assert entries(streamed(data, piece)) == result
    assert entries(streamed(b"x" * 99 + data + b"y" * 600).part(99, len(data))) == result
    assert entries(streamed(data, digest=True), 1) == result
    return result


def _error(source: ByteSource) -> TarError | TruncatedError:
    try:
        entries(source)
    except (TarError, TruncatedError) as error:
        return error
    raise AssertionError("it was read without an error")


def refused(data: bytes) -> TarError | TruncatedError:
    """The error for an archive, after checking that both ways of reading give the same."""
    with seekable(data) as source:
        errors = [_error(source)]
    errors += [_error(streamed(data, piece)) for piece in (1 << 20, 100)]
    assert len({(type(error), str(error)) for error in errors}) == 1
    return errors[0]


def one(data: bytes) -> dict[str, Any]:
    """The only entry of an archive."""
    (result,) = both_ways(data + END)
    return result


Short = tuple[str, bytes] | tuple[str, str, str] | str
"""An entry: `(name, content)`, `(name, "symlink" or "link", target)`, or `folder/`."""


def layer(*entries: Short) -> bytes:
    """A layer."""
    return layer_tar(map(_item, entries))


def _item(short: Short) -> Item:
    if isinstance(short, str):
        return Item(short.rstrip("/") or ".", "dir", mode=0o755, mtime=1_700_000_000)
    if len(short) == 2:
        return Item(short[0], content=short[1], mtime=1_700_000_000)
    kind = "symlink" if short[1] == "symlink" else "hardlink"
    return Item(short[0], kind, link=short[2], mtime=1_700_000_000)


def changeset(*items: Short) -> Changeset:
    return read_changeset(streamed(layer(*items), digest=True))


def stack(*layers: Sequence[Short]) -> Stack:
    return Stack([changeset(*items) for items in layers])


class InMemory:
    """Content in memory, as `layerscope.content` reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def row_of(stack: Stack, path: bytes) -> int:
    """The row of the version of a path that the merged view of all layers shows."""
    node = stack.tree.find(path)
    assert node is not None
    row = stack.version(node, stack.height - 1)
    assert row is not None
    return row


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
