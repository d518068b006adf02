"""Layers and archives written by hand, for what no Dockerfile can produce."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIME = 1_500_000_000
TAG = "layerscope.test/by-hand:latest"

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


def docker_archive(layers: Sequence[bytes], tag: str = TAG) -> bytes:
    """Return an image of these layers, as `docker save` writes it."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["-"]},
            "created": "2020-01-01T00:00:00Z",
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
            },
            "history": [
                {"created": "2020-01-01T00:00:00Z", "created_by": f"layer {number}"}
                for number in range(len(layers))
            ],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": names}]).encode()
    contents = [(name, config), *zip(names, layers, strict=True), ("manifest.json", manifest)]
    return layer_tar(Item(name, content=content) for name, content in contents)


def write_archive(folder_path: Path, layers: Sequence[bytes], tag: str = TAG) -> Path:
    """Write an image of these layers and return its path."""
    path = folder_path / "image.tar"
    path.write_bytes(docker_archive(layers, tag))
    return path


# --- headers, byte by byte ----------------------------------------------------------------------


def octal(number: int, width: int) -> bytes:
    """Return a numeric field as every tar writes it."""
    return b"%0*o\0" % (width - 1, number)


def base256(number: int, width: int) -> bytes:
    """Return a numeric field as GNU writes what is too large or negative."""
    value = number.to_bytes(width, "big", signed=True)
    return bytes([value[0] | 0x80]) + value[1:]


def header(name: bytes, flag: bytes = b"0", length: int = 0, **fields: bytes) -> bytes:
    """Return one header block with a correct checksum.

    Args:
        name: at most 100 bytes.
        flag: the type flag.
        length: of the content that follows.
        fields: other fields, as bytes, by the name that POSIX or GNU gives them.
    """
    places = {
        "mode": (100, 8),
        "uid": (108, 8),
        "gid": (116, 8),
        "size": (124, 12),
        "mtime": (136, 12),
        "linkname": (157, 100),
        "magic": (257, 8),
        "devmajor": (329, 8),
        "devminor": (337, 8),
        "prefix": (345, 155),
        "sparse": (386, 96),
        "isextended": (482, 1),
        "realsize": (483, 12),
    }
    values = {
        "mode": octal(0o644, 8),
        "uid": octal(0, 8),
        "gid": octal(0, 8),
        "size": octal(length, 12),
        "mtime": octal(TIME, 12),
        "magic": b"ustar\x0000",
        **fields,
    }
    block = bytearray(512)
    block[: len(name)] = name
    block[156:157] = flag
    for field_name, value in values.items():
        start, width = places[field_name]
        if len(value) > width:
            raise ValueError(f"{field_name} has {width} bytes")
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    """Return content filled up to whole blocks."""
    return content + bytes(-len(content) % 512)


def entry(name: bytes, content: bytes = b"", flag: bytes = b"0", **fields: bytes) -> bytes:
    """Return a header and its content."""
    return header(name, flag, len(content), **fields) + padded(content)


def pax_header(records: Iterable[tuple[bytes, bytes]], flag: bytes = b"x") -> bytes:
    """Return an extended header with these records, in their order."""
    content = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        total = length + len(str(length))
        total = length + len(str(total))
        content += b"%d %s=%s\n" % (total, key, value)
    # Some engines make the folders above a global header, as if it were a file.
    return entry(b"pax_global_header" if flag == b"g" else b"PaxHeaders/x", content, flag)


def raw_layer(*entries: bytes) -> bytes:
    """Return a layer of such entries, with the mark of its end."""
    return b"".join(entries) + bytes(1024)
