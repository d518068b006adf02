"""Short ways to write layers down, and all ways to read them, for unit tests."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
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
from tests.archives import END, Item, layer_tar

_TIME = 1_700_000_000


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
        return Item(short.rstrip("/") or ".", "dir", mode=0o755, mtime=_TIME)
    if len(short) == 2:
        return Item(short[0], content=short[1], mtime=_TIME)
    kind = "symlink" if short[1] == "symlink" else "hardlink"
    return Item(short[0], kind, link=short[2], mtime=_TIME)


def changeset(*items: Short) -> Changeset:
    return read_changeset(streamed(layer(*items), digest=True))


def stack(*layers: Sequence[Short]) -> Stack:
    return Stack([changeset(*items) for items in layers])


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
