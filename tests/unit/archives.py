"""Tar archives and `docker save` archives, made byte by byte where a test needs it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.byte_source import ByteSource, FileRange, Stream, TruncatedError
from layerscope.oci.tar_columns import TarColumns, decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan

BLOCK = 512
END = bytes(2 * BLOCK)

USTAR = b"ustar\x0000"
GNU = b"ustar  \0"
V7 = bytes(8)


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

    def field(value: bytes | int, width: int) -> bytes:
        return octal(value, width) if isinstance(value, int) else value.ljust(width, b"\0")

    numbers = field(mode, 8) + field(uid, 8) + field(gid, 8) + field(size, 12) + field(mtime, 12)
    device = octal(devices[0], 8) + octal(devices[1], 8)
    front = name.ljust(100, b"\0") + numbers
    back = kind + link.ljust(100, b"\0") + magic + bytes(64) + device + tail
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


def pax(records: Mapping[bytes, bytes], kind: bytes = b"x") -> bytes:
    data = b"".join(pax_record(key, value) for key, value in records.items())
    return entry(b"PaxHeaders/x", data, kind=kind)


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


Item = tuple[str, bytes] | tuple[str, str, str] | str


def layer(*items: Item) -> bytes:
    """A layer: `(name, content)`, `(name, "symlink" or "link", target)`, or `folder/`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for item in items:
            name = item if isinstance(item, str) else item[0]
            info = tarfile.TarInfo(name.rstrip("/") or ".")
            info.mtime = 1_700_000_000
            if isinstance(item, str):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif len(item) == 2:
                info.size = len(item[1])
                tar.addfile(info, io.BytesIO(item[1]))
            else:
                info.type = tarfile.SYMTYPE if item[1] == "symlink" else tarfile.LNKTYPE
                info.linkname = item[2]
                tar.addfile(info)
    return buffer.getvalue()


def changeset(*items: Item) -> Changeset:
    return read_changeset(streamed(layer(*items), digest=True))


def stack(*layers: Sequence[Item]) -> Stack:
    return Stack([changeset(*items) for items in layers])


def plain_tar(files: Sequence[tuple[str, bytes]]) -> bytes:
    """An uncompressed archive of some files, by name."""
    return b"".join(entry(name.encode(), data) for name, data in files) + END


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
            "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers],
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


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
