"""Random archives: whole ones are read as tarfile reads them, damaged ones end in a clear error."""

from __future__ import annotations

import io
import random
import tarfile
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from layerscope.errors import LayerscopeError
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.filesystem.waste import measure
from layerscope.oci.byte_source import ByteSource, TruncatedError
from layerscope.oci.tar_header import TarError
from layerscope.reports.files_report import json_lines, text_lines
from tests import archives
from tests.archives import both_ways, entries, layer, seekable, streamed

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
TYPES = [
    tarfile.REGTYPE,
    tarfile.REGTYPE,
    tarfile.REGTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
]

components = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in (".", ".."))
names = st.lists(components, min_size=1, max_size=6).map("/".join)


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(draw(names))
    info.type = draw(st.sampled_from(TYPES))
    info.mode = draw(st.integers(0, 0o7777))
    info.uid = draw(st.sampled_from([0, 1000, 0o7777777, 0o10000000, 2**31]))
    info.gid = draw(st.sampled_from([0, 5, 2**32 - 2]))
    info.mtime = draw(st.sampled_from([0, 1_700_000_000, 0o77777777777, 0o100000000000, -1, -99]))
    data = b""
    if info.type == tarfile.REGTYPE:
        data = draw(st.binary(max_size=1500))
        info.size = len(data)
    elif info.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        info.linkname = draw(names)
    elif info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 99999))
    if draw(st.booleans()):
        info.pax_headers = {"SCHILY.xattr.user.x": draw(components), "comment": "c"}
    return info, data


def pack(tar_format: int, items: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """The archive; another example is tried if the format cannot hold the items."""
    buffer = io.BytesIO()
    try:
        with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as tar:
            for info, data in items:
                tar.addfile(info, io.BytesIO(data))
    except ValueError:
        reject()
    return buffer.getvalue()


def as_tarfile_reads(data: bytes) -> list[dict[str, Any]]:
    result = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            device = (info.devmajor, info.devminor) if info.ischr() or info.isblk() else None
            xattrs = {
                key.removeprefix("SCHILY.xattr.").encode(): value.encode()
                for key, value in info.pax_headers.items()
                if key.startswith("SCHILY.xattr.")
            }
            result.append(
                {
                    "name": info.name.encode("utf-8", "surrogateescape"),
                    "kind": info.type.decode(),
                    "mode": info.mode,
                    "uid": info.uid,
                    "gid": info.gid,
                    "size": info.size if info.isreg() else 0,
                    "mtime": int(info.mtime // 1),
                    "link": info.linkname.encode("utf-8", "surrogateescape"),
                    "device": device,
                    "xattrs": xattrs,
                    "data_offset": info.offset_data,
                }
            )
    return result


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FORMATS), st.lists(members(), max_size=6))
def test_any_archive_is_read_as_tarfile_reads_it(
    tar_format: int, items: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    data = pack(tar_format, items)
    found = both_ways(data)
    for mine, theirs in zip(found, as_tarfile_reads(data), strict=True):
        mine["name"] = mine["name"].rstrip(b"/")
        assert {key: mine[key] for key in theirs} == theirs


@settings(max_examples=100)
@given(st.sampled_from(FORMATS), st.lists(members(), min_size=1, max_size=6))
def test_a_layer_is_the_same_both_ways(
    tar_format: int, items: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    data = pack(tar_format, items)
    with seekable(data) as source:
        outcomes = [outcome(source), outcome(streamed(data, 333)), outcome(streamed(data))]
    assert outcomes[0] == outcomes[1] == outcomes[2]


def outcome(source: ByteSource) -> object:
    """What a layer gives: its listing, or its error. Any other exception is a bug."""
    try:
        changeset = read_changeset(source)
        stack = Stack([changeset, changeset])
        waste = measure(stack)
        assert waste.visible_size <= waste.size
        for _ in text_lines(stack, 1):
            pass
        return [list(json_lines(stack, None)), list(json_lines(stack, 0)), waste.paths]
    except (TarError, TruncatedError, LayerscopeError) as error:
        result = type(error), str(error)
    assert len(result[1].splitlines()) == 1
    assert result[1].isprintable()
    return result


SEEDS = [
    layer("a/", ("a/b", b"x" * 700), ("a/l", "link", "a/b"), ("s", "symlink", "a/b")),
    layer(("a/.wh.b", b""), ("c/.wh..wh..opq", b""), ("ü" * 90, b"1"), ("c/d", b"2")),
    archives.pax({b"path": b"p" * 150, b"mtime": b"-1.5", b"SCHILY.xattr.user.a": b"b"})
    + archives.entry(b"p", b"hello")
    + archives.pax({b"GNU.sparse.size": b"5000", b"GNU.sparse.map": b"0,2,4000,1"})
    + archives.entry(b"sparse", b"abc")
    + archives.entry(b"x", b"n" * 150 + b"\0", kind=b"L")
    + archives.entry(b"x", b"t" * 150 + b"\0", kind=b"K")
    + archives.header(b"n", kind=b"1", link=b"t")
    + archives.pax({b"comment": b"c"}, kind=b"g")
    + archives.header(b"dev", kind=b"3", devices=(1, 3), uid=archives.base256(2**30, 8))
    + archives.END,
    archives.pax({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0",
                  b"GNU.sparse.realsize": b"900", b"GNU.sparse.name": b"real"})
    + archives.entry(b"f", b"1\n0\n5\n".ljust(512, b"\0") + b"hello")
    + archives.header(b"old", kind=b"S", size=3, magic=archives.GNU,
                      tail=bytes(41) + archives.octal(0, 12) + archives.octal(3, 12) + bytes(73)
                      + archives.octal(9, 12))
    + archives.padded(b"abc")
    + archives.END,
]  # fmt: skip


def repaired(data: bytearray) -> None:
    """Gives every block that looks like a header a right checksum, so that more of it is read."""
    for at in range(0, len(data) - 511, 512):
        block = data[at : at + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(block)


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 6)):
        data[chance.randrange(len(data))] = chance.choice(b"\0 017\x80\xff/.-a\n9=")


def flip_field(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) // 512) * 512
    start, stop = chance.choice([(0, 100), (100, 108), (108, 116), (124, 136), (136, 148),
                                 (156, 157), (157, 257), (329, 345), (345, 500)])  # fmt: skip
    data[at + start : at + stop] = bytes(
        chance.choice(b"\0\xff\x80701 ./" if chance.random() < 0.7 else bytes(range(256)))
        for _ in range(stop - start)
    )


def flip_type(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) // 512) * 512
    data[at + 156] = chance.choice(b"0123456789xgXLKSV\0")


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) // 512) * 512
    block = data[at : at + 512 * chance.randint(1, 3)]
    to = chance.randrange(len(data) // 512) * 512
    data[to:to] = block * chance.randint(1, 20)


def remove(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) // 512) * 512
    del data[at : at + 512 * chance.randint(1, 2)]


def splice(data: bytearray, chance: random.Random) -> None:
    other = chance.choice(SEEDS)
    at = chance.randrange(len(data) // 512) * 512
    start = chance.randrange(len(other) // 512) * 512
    data[at:at] = other[start : start + 512 * chance.randint(1, 4)]


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [
    flip, flip, flip_field, flip_field, flip_type, cut, repeat, remove, splice,
]  # fmt: skip


def check_damaged(data: bytes) -> object:
    """Both ways give the same; neither takes long, nor memory without measure."""
    with seekable(data) as source:
        first = outcome(source)
    second = outcome(streamed(data, 512))
    third = outcome(streamed(data, digest=True))
    assert first == second == third
    return first


@settings(max_examples=1200, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64), st.sampled_from(range(len(SEEDS))), st.booleans())
def test_damaged_archives_end_in_a_clear_error_or_a_listing(
    seed: int, which: int, repair: bool
) -> None:
    chance = random.Random(seed)
    damaged = bytearray(SEEDS[which])
    for _ in range(chance.randint(1, 4)):
        if len(damaged) >= 512:
            chance.choice(MUTATIONS)(damaged, chance)
    if repair:
        repaired(damaged)
    check_damaged(bytes(damaged))


@settings(max_examples=300)
@given(st.binary(max_size=3000))
def test_bytes_that_are_no_archive_end_in_a_clear_error(data: bytes) -> None:
    check_damaged(data)


def test_damaged_archives_take_little_memory() -> None:
    chance = random.Random(1)
    tracemalloc.start()
    for _ in range(100):
        damaged = bytearray(chance.choice(SEEDS))
        chance.choice(MUTATIONS)(damaged, chance)
        repaired(damaged)
        check_damaged(bytes(damaged))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_what_is_damaged_is_well_formed_before(seed: int) -> None:
    assert len(both_ways(SEEDS[seed])) >= 2
    assert isinstance(check_damaged(SEEDS[seed]), list)
    with seekable(SEEDS[seed]) as source:
        assert entries(source)
