"""tar-split files: the same changeset as from the tar that they were made of."""

from __future__ import annotations

import base64
import io
import json
import random
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import changeset_of, read_changeset
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_split import TarSplitError, TarSplitSource, Unusual, scan_usual


def tar(form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:

        def add(name: str, content: bytes = b"", **changes: Any) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))

        add("a", type=tarfile.DIRTYPE, mode=0o700)
        for size in (0, 1, 511, 512, 513, 5000):
            add(f"a/{size}", b"x" * size, uid=size)
        add("a/link", type=tarfile.SYMTYPE, linkname="5000")
        add("a/hard", type=tarfile.LNKTYPE, linkname="a/1")
        add("n" * 300, b"content", mtime=1.5)
        add("l" * 200, type=tarfile.SYMTYPE, linkname="m" * 900)
        add("a/.wh.gone")
        add("a/.wh..wh..opq")
        add('"size":7,', b"a name that looks like JSON")
        add("last", b"y" * 100)
    return stream.getvalue()


def split(data: bytes) -> Iterator[dict[str, Any]]:
    """What tar-split writes of an archive."""
    at = position = 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            size = member.size if member.isreg() else 0
            payload = base64.b64encode(data[at : member.offset_data]).decode()
            yield {"type": 2, "payload": payload, "position": position}
            entry: dict[str, Any] = {"type": 1, "name": member.name}
            if size:
                entry |= {"size": size}
            yield entry | {"payload": None, "position": position + 1}
            at = member.offset_data + size
            position += 2
    yield {"type": 2, "payload": base64.b64encode(data[at:]).decode(), "position": position}


def text(objects: Iterator[dict[str, Any]], separators: tuple[str, str] = (",", ":")) -> bytes:
    return "".join(json.dumps(each, separators=separators) + "\n" for each in objects).encode()


def read(data: bytes, piece: int = 1 << 20) -> Changeset:
    stream = io.BytesIO(data)
    return read_changeset(TarSplitSource(lambda size: stream.read(min(size, piece))))


def same(one: Changeset, other: Changeset) -> None:
    assert one.paths() == other.paths()
    for column in (
        *("kinds", "modes", "uids", "gids", "sizes", "mtimes"),
        *("header_offsets", "data_offsets"),
    ):
        assert np.array_equal(getattr(one, column), getattr(other, column)), column
    assert (one.links, one.devices, one.xattrs) == (other.links, other.devices, other.xattrs)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("piece", [1 << 20, 100])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["as Go writes", "spaced"])
def test_the_same_as_the_tar(form: int, piece: int, separators: tuple[str, str]) -> None:
    data = tar(form)
    stream = io.BytesIO(data)
    truth = read_changeset(Stream(stream.read))
    assert len(truth) > 12
    same(read(text(split(data), separators), piece), truth)


def test_headers_that_are_split_over_objects() -> None:
    data = tar()
    truth = read(text(split(data)))
    pieces = []
    for each in split(data):
        if each["type"] == 1:
            pieces.append(each)
            continue
        payload = base64.b64decode(each["payload"])
        pieces += [
            {"type": 2, "payload": base64.b64encode(payload[at : at + 512]).decode()}
            for at in range(0, len(payload), 512)
        ]
    same(read(text(iter(pieces))), truth)


def test_no_layer() -> None:
    assert len(read(b"")) == 0
    assert len(read(text(iter([{"type": 2, "payload": ""}])))) == 0


@pytest.mark.parametrize(
    "line",
    [
        b"\x80\x81",
        b'{"type":2,"payload":"****","position":0}',
        b'{"type":2,"payload":"AAAA',
        b'{"type":2,"payload":7}',
        b'{"type":1,"size":x,"position":0}',
        b'{"type": 1, "size": [1]}',
        b"[]",
        b"{}",
        b"7",
        b"[" * 100_000,
    ],
)
def test_lines_that_are_none(line: bytes) -> None:
    with pytest.raises(TarSplitError):
        read(line + b"\n")


def test_a_line_without_end() -> None:
    with pytest.raises(TarSplitError, match="too long"):
        read_changeset(TarSplitSource(lambda size: b"x" * size))


def test_sizes_that_do_not_fit() -> None:
    objects = list(split(tar()))
    for each in objects:
        if each.get("size") == 5000:
            each["size"] = 50_000
    with pytest.raises(TarError, match="content of a file"):
        read(text(iter(objects)))


def test_random_damage_ends_in_known_errors() -> None:
    chance = random.Random(3)
    whole = text(split(tar()))
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read(bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data))
        except (TarError, TarSplitError, TruncatedError):
            pass


def read_usual(data: bytes) -> Changeset:
    return changeset_of(scan_usual(io.BytesIO(data).read))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("behind", [b"", b'{"type":2,"payload":"","position":99}\n'])
def test_the_usual_form_in_one_go(form: int, behind: bytes) -> None:
    data = tar(form)
    truth = read_changeset(Stream(io.BytesIO(data).read))
    same(read_usual(text(split(data)) + behind), truth)


def test_pieces_that_end_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    data = text(split(tar()))
    truth = read(data)
    for piece in (1, 700, 1_000, 5_000):
        monkeypatch.setattr("layerscope.oci.tar_split._PIECE", piece)
        same(read_usual(data), truth)


def test_many_entries_in_the_usual_form() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(5_000):
            member = tarfile.TarInfo(f"folder/{number}")
            member.size = number
            archive.addfile(member, io.BytesIO(bytes(number)))
    data = text(split(stream.getvalue()))
    same(read_usual(data), read(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda objects: objects[:-1],
        lambda objects: objects[1:],
        lambda objects: [*objects[:-1], {"type": 2, "payload": "", "position": 9}],
        lambda objects: [*objects[:2], objects[0], *objects[2:]],
        lambda objects: [{"type": 1, "name": "x", "size": -5, "payload": None, "position": 0}],
        lambda objects: [{**objects[0], "payload": "A" * 684}, *objects[1:]],
        lambda objects: [{**objects[0], "payload": "/" * 683 + "="}, *objects[1:]],
        lambda objects: [dict(reversed(each.items())) for each in objects],
    ],
)
def test_other_forms_are_left_to_the_other_way(change: Any) -> None:
    with pytest.raises(Unusual):
        read_usual(text(iter(change(list(split(tar()))))))


def test_damage_is_never_read_as_something_else() -> None:
    chance = random.Random(4)
    whole = text(split(tar()))
    read_in_one_go = 0
    for _ in range(600):
        data = bytearray(whole)
        data[chance.randrange(len(data))] = chance.choice(b'"A=0 9}x\n/\xff')
        damaged = bytes(data)
        try:
            found = read_usual(damaged)
        except (Unusual, TarError):
            continue
        try:
            truth = read(damaged)
        except (TarError, TarSplitError, TruncatedError):
            continue
        same(found, truth)
        read_in_one_go += 1
    assert read_in_one_go > 20
