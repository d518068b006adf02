"""A changeset that is written as a layer is read as what it was."""

import io
import tarfile
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from layerscope.filesystem.changeset import COLUMNS, SPARSE_COLUMNS, Changeset
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.files.layer_tar import write_layer
from layerscope.images.layer_stream import file_pieces
from layerscope.images.pieces import Piece, filled
from layerscope.oci.byte_source import Buffer
from tests.archives import Item, layer_tar, opaque, whiteout

_NAMES = st.binary(min_size=1, max_size=120).filter(
    lambda name: (
        not set(name) & {0, ord("/")} and name not in (b".", b"..") and not name.startswith(b".wh.")
    )
)
_TEXTS = _NAMES.map(lambda name: name.decode("utf-8", "surrogateescape"))
_XATTRS = st.dictionaries(
    st.sampled_from(["SCHILY.xattr.user.note", "SCHILY.xattr.security.capability"]),
    st.binary(max_size=30).map(lambda value: value.decode("utf-8", "surrogateescape")),
)


_KINDS = ("file", "dir", "symlink", "char", "fifo", "whiteout", "opaque", "hardlink")


@st.composite
def layers(draw: st.DrawFn) -> list[Item]:
    names = draw(st.lists(_TEXTS, unique=True, max_size=8))
    items: list[Item] = []
    for name in names:
        kind = draw(st.sampled_from(_KINDS))
        if kind == "whiteout":
            items.append(whiteout(name))
            continue
        if kind == "hardlink":
            targets = [
                item.name for item in items if item.kind == "file" and ".wh." not in item.name
            ]
            if not targets:
                continue
            items.append(Item(name, kind, link=draw(st.sampled_from(targets))))
            continue
        about: dict[str, Any] = {
            "mode": draw(st.integers(0, 0o7777)),
            "uid": draw(st.sampled_from([0, 33, 200_000, 2**31])),
            "gid": draw(st.sampled_from([0, 34, 4_000_000])),
            "mtime": draw(st.integers(-(2**40), 2**40)),
        }
        if kind == "opaque":
            items += [Item(name, "dir", **about), opaque(name)]
        elif kind == "file":
            content = draw(st.binary(max_size=1500))
            items.append(Item(name, kind, content=content, pax=draw(_XATTRS), **about))
        elif kind == "symlink":
            items.append(Item(name, kind, link=draw(_TEXTS), **about))
        elif kind == "char":
            items.append(Item(name, kind, device=(draw(st.integers(0, 4095)), 7), **about))
        else:
            items.append(Item(name, kind, **about))
    return items


def written(changeset: Changeset, data: bytes) -> bytes:
    out = io.BytesIO()

    def content(row: int) -> Iterator[Piece]:
        return file_pieces(Buffer(data), changeset, row)

    write_layer(changeset, content, out.write)
    return out.getvalue()


@given(layers())
def test_what_is_written_is_read(items: list[Item]) -> None:
    data = layer_tar(items)
    changeset = read_changeset(Buffer(data))
    again = written(changeset, data)
    found = read_changeset(Buffer(again))
    assert found.paths() == changeset.paths()
    for name in COLUMNS:
        if "offsets" not in name:
            one, two = getattr(found, name).tolist(), getattr(changeset, name).tolist()
            assert one == two, name
    for name in SPARSE_COLUMNS:
        assert getattr(found, name) == getattr(changeset, name), name
    # Written again, every byte is the same, and there is no name of a user or group.
    assert written(found, again) == again
    with tarfile.open(fileobj=io.BytesIO(again)) as tar:
        members = tar.getmembers()
    assert {(member.uname, member.gname) for member in members} <= {("", "")}
    contents = [item.content for item in items if item.kind == "file" and item.content]
    inner = [
        b"".join(filled(file_pieces(Buffer(again), found, row)))
        for row, size in enumerate(found.sizes.tolist())
        if size
    ]
    assert inner == contents
