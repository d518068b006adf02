"""Sparse files of all GNU formats: their real size and map, and maps that lie."""

from __future__ import annotations

import io
import tarfile

import pytest

from layerscope.oci.tar_header import TarError
from tests.archives import (
    BLOCK,
    END,
    GNU,
    both_ways,
    entry,
    header,
    octal,
    one,
    pax,
    pax_record,
    refused,
)


def sparse_header(pairs: list[tuple[int, int]], real: int, stored: int, more: int) -> bytes:
    tail = bytes(386 - 345) + b"".join(octal(a, 12) + octal(b, 12) for a, b in pairs)
    tail = tail.ljust(482 - 345, b"\0") + bytes([more]) + octal(real, 12)
    return header(b"sparse", kind=b"S", size=stored, magic=GNU, tail=tail)


def test_old_gnu_sparse_files_have_their_real_size_and_map() -> None:
    pairs = [(0, 512), (10240, 512), (20480, 0)]
    found = both_ways(sparse_header(pairs, 20480, 1024, 0) + bytes(1024) + header(b"g") + END)
    assert (found[0]["size"], found[0]["sparse"], found[0]["kind"]) == (20480, pairs, "0")
    assert found[1]["name"] == b"g"


def test_old_gnu_sparse_maps_go_on_in_further_blocks() -> None:
    pairs = [(1000 * n, 10) for n in range(4 + 21 + 5)]
    extensions = b""
    for start, count, more in ((4, 21, 1), (25, 5, 0)):
        block = b"".join(octal(a, 12) + octal(b, 12) for a, b in pairs[start : start + count])
        extensions += block.ljust(504, b"\0") + bytes([more]) + bytes(7)
    data = sparse_header(pairs[:4], 40000, 300, 1) + extensions + bytes(512) + header(b"g") + END
    first, second = both_ways(data)
    assert (first["sparse"], first["data_offset"]) == (pairs, 3 * BLOCK)
    assert second["name"] == b"g"


def sparse_pax(version: str) -> bytes:
    stored = b"a" * 512 + b"b" * 10
    common = [pax_record(b"GNU.sparse.name", b"real-name")]
    if version == "0.0":
        records = [pax_record(b"GNU.sparse.size", b"5000")]
        for start, length in ((0, 512), (4000, 10)):
            records.append(pax_record(b"GNU.sparse.offset", b"%d" % start))
            records.append(pax_record(b"GNU.sparse.numbytes", b"%d" % length))
        data = stored
    elif version == "0.1":
        records = [
            pax_record(b"GNU.sparse.size", b"5000"),
            pax_record(b"GNU.sparse.map", b"0,512,4000,10"),
        ]
        data = stored
    else:
        records = [
            pax_record(b"GNU.sparse.major", b"1"),
            pax_record(b"GNU.sparse.minor", b"0"),
            pax_record(b"GNU.sparse.realsize", b"5000"),
        ]
        data = b"2\n0\n512\n4000\n10\n".ljust(512, b"\0") + stored
    return entry(b"x", b"".join(common + records), kind=b"x") + entry(b"fake", data)


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_pax_sparse_files_have_their_real_name_size_and_map(version: str) -> None:
    data = sparse_pax(version) + header(b"g") + END
    first, second = both_ways(data)
    assert (first["name"], first["size"]) == (b"real-name", 5000)
    assert first["sparse"] == [(0, 512), (4000, 10)]
    assert second["name"] == b"g"
    assert data[first["data_offset"] :][:512] == b"a" * 512


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_tarfile_reads_our_sparse_files_alike(version: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(sparse_pax(version) + END)) as tar:
        (member,) = tar.getmembers()
    found = one(sparse_pax(version))
    assert (member.name.encode(), member.size) == (found["name"], found["size"])


SPARSE: list[tuple[str, dict[bytes, bytes]]] = [
    ("odd", {b"GNU.sparse.map": b"0,3,5"}),
    ("backwards", {b"GNU.sparse.map": b"5,1,0,2"}),
    ("overlapping", {b"GNU.sparse.map": b"0,2,1,1"}),
    ("beyond the size", {b"GNU.sparse.map": b"0,1,99,2"}),
    ("more than is stored", {b"GNU.sparse.map": b"0,50"}),
    ("less than is stored", {b"GNU.sparse.map": b"0,1"}),
    ("negative", {b"GNU.sparse.map": b"0,-1"}),
    ("no number", {b"GNU.sparse.map": b"0,x"}),
    ("huge", {b"GNU.sparse.map": b"0," + b"9" * 18}),
]  # fmt: skip


@pytest.mark.parametrize("records", [s[1] for s in SPARSE], ids=[s[0] for s in SPARSE])
def test_a_sparse_map_that_lies_is_refused(records: dict[bytes, bytes]) -> None:
    records = {b"GNU.sparse.size": b"100", **records}
    assert isinstance(refused(pax(records) + entry(b"f", b"abc") + END), TarError)


@pytest.mark.parametrize(
    "data", [b"", b"2\n0\n1\n", b"x\n", b"99999999999\n", b"1\n0\n600\n", b"1\n0\n" + b"1" * 2000]
)
def test_a_sparse_map_in_data_that_lies_is_refused(data: bytes) -> None:
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"9"}
    assert isinstance(refused(pax(records) + entry(b"f", data) + END), TarError)
