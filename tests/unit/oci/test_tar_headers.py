"""Tar headers of every format, read from a file that can seek and from a stream."""

from __future__ import annotations

import pytest

from layerscope.oci.byte_source import TruncatedError
from layerscope.oci.tar_header import TarError
from tests.archives import (
    BLOCK,
    END,
    GNU,
    V7,
    base256,
    both_ways,
    entry,
    header,
    one,
    pax,
    pax_record,
    refused,
)


def test_a_ustar_header_gives_all_its_fields() -> None:
    found = one(entry(b"bin/su", b"hello", mode=0o104755, uid=3, gid=4, mtime=1_700_000_000))
    assert found["name"] == b"bin/su"
    assert found["mode"] & 0o7777 == 0o4755
    assert (found["uid"], found["gid"], found["size"]) == (3, 4, 5)
    assert (found["mtime"], found["kind"]) == (1_700_000_000, "0")
    assert (found["offset"], found["data_offset"]) == (0, BLOCK)


def test_a_ustar_prefix_is_put_before_the_name() -> None:
    prefix = bytes(0) + b"some/folder"
    block = bytearray(header(b"file"))
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert one(bytes(block))["name"] == b"some/folder/file"


def test_gnu_headers_use_the_bytes_of_the_prefix_otherwise() -> None:
    block = bytearray(header(b"file", magic=GNU))
    block[345:357] = b"00000000001\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert one(bytes(block))["name"] == b"file"


@pytest.mark.parametrize(("name", "kind"), [(b"file", "0"), (b"folder/", "5")])
def test_a_v7_header_tells_folders_by_their_slash(name: bytes, kind: str) -> None:
    assert one(header(name, kind=b"\0", magic=V7))["kind"] == kind


def test_a_name_may_fill_its_field() -> None:
    assert one(header(b"n" * 100))["name"] == b"n" * 100
    assert one(header(b"l", kind=b"2", link=b"t" * 100))["link"] == b"t" * 100


@pytest.mark.parametrize(
    "size", [b"5", b"     5 ", b"5\0\0\0", b"00000000005", b"000000000005", base256(5, 12)]
)
def test_numbers_are_read_as_tars_write_them(size: bytes) -> None:
    assert one(entry(b"f", b"hello", size=size))["size"] == 5


def test_empty_number_fields_are_zero() -> None:
    found = one(header(b"f", mode=b"", uid=b" " * 7, gid=b"", size=b"", mtime=b""))
    assert [found[key] for key in ("mode", "uid", "gid", "size", "mtime")] == [0] * 5


@pytest.mark.parametrize("mtime", [-1, -86400 * 365 * 100, 2**33, 2**40])
def test_base256_times_may_be_negative_and_large(mtime: int) -> None:
    assert one(header(b"f", mtime=base256(mtime, 12)))["mtime"] == mtime


@pytest.mark.parametrize("uid", [0, 2**21, 2**31, 2**32 - 2])
def test_base256_owners_are_read(uid: int) -> None:
    found = one(header(b"f", uid=base256(uid, 8), gid=base256(uid, 8)))
    assert (found["uid"], found["gid"]) == (uid, uid)


@pytest.mark.parametrize("size", [99, 100, 101, 255, 256, 512, 513, 1023, 4000])
def test_gnu_long_names_and_links_are_read(size: int) -> None:
    name, link = b"n" * size, b"t" * size
    data = (
        entry(b"././@LongLink", link + b"\0", kind=b"K", magic=GNU)
        + entry(b"././@LongLink", name + b"\0", kind=b"L", magic=GNU)
        + header(name[:100], kind=b"2", link=link[:100], magic=GNU)
    )
    found = one(data)
    assert (found["name"], found["link"], found["offset"]) == (name, link, len(data) - BLOCK)


def test_an_empty_long_name_says_nothing() -> None:
    assert one(entry(b"x", b"", kind=b"L") + header(b"f"))["name"] == b"f"


def test_a_long_name_belongs_to_the_next_entry_only() -> None:
    data = entry(b"x", b"long\0", kind=b"L") + header(b"a") + header(b"b") + END
    assert [found["name"] for found in both_ways(data)] == [b"long", b"b"]


def test_pax_records_replace_fields() -> None:
    found = one(
        pax(
            {
                b"path": "ü/".encode() * 200 + b"f",
                b"linkpath": b"t" * 300,
                b"uid": b"5000000000",
                b"gid": b"6",
                b"mtime": b"1700000000.999",
                b"atime": b"1.5",
                b"comment": b"a=b\nc",
            }
        )
        + header(b"f", kind=b"2", link=b"t")
    )
    assert found["name"] == "ü/".encode() * 200 + b"f"
    assert found["link"] == b"t" * 300
    assert (found["uid"], found["gid"], found["mtime"]) == (5_000_000_000, 6, 1_700_000_000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"0", 0),
        (b"1.999999999", 1),
        (b"-1", -1),
        (b"-1.0", -1),
        (b"-1.25", -2),
        (b"-0.5", -1),
        (b"123456789.", 123456789),
    ],
)
def test_pax_times_are_rounded_down(text: bytes, seconds: int) -> None:
    assert one(pax({b"mtime": text}) + header(b"f"))["mtime"] == seconds


@pytest.mark.parametrize("text", [b"x", b"1.x", b"1.2.3", b"9" * 30, b"nan", b"1e5", b"--5"])
def test_pax_times_that_are_none_are_refused(text: bytes) -> None:
    assert "mtime is not a time" in str(refused(pax({b"mtime": text}) + header(b"f") + END))


def test_a_pax_size_counts_for_the_content_too() -> None:
    data = pax({b"size": b"700"}) + header(b"f", size=3) + bytes(1024) + header(b"g") + END
    first, second = both_ways(data)
    assert (first["size"], second["name"]) == (700, b"g")


def test_xattrs_are_those_of_schily() -> None:
    records = {
        b"SCHILY.xattr.security.capability": b"\x01\0\0\x02\n=\0",
        b"SCHILY.xattr.user.a=b": b"c",
        b"LIBARCHIVE.xattr.user.x": b"eA==",
    }
    found = one(pax(records) + header(b"f"))
    assert found["xattrs"][b"security.capability"] == b"\x01\0\0\x02\n=\0"
    assert b"user.x" not in found["xattrs"]


def test_of_several_pax_headers_the_last_counts_as_go_has_it() -> None:
    found = one(pax({b"path": b"a", b"uid": b"7"}) + pax({b"path": b"b"}) + header(b"c"))
    assert (found["name"], found["uid"]) == (b"b", 0)


def test_a_gnu_name_goes_before_a_pax_path_as_go_has_it() -> None:
    long = entry(b"x", b"gnu\0", kind=b"L")
    assert one(long + pax({b"path": b"pax"}) + header(b"c"))["name"] == b"gnu"
    assert one(pax({b"path": b"pax"}) + long + header(b"c"))["name"] == b"gnu"


def test_global_headers_are_ignored_as_go_ignores_them() -> None:
    data = pax({b"path": b"global", b"uid": b"9", b"comment": b"c"}, kind=b"g")
    found = both_ways(data + header(b"a") + header(b"b") + data + END)
    assert [(e["name"], e["uid"]) for e in found] == [(b"a", 0), (b"b", 0)]


def test_an_empty_pax_path_says_nothing() -> None:
    assert one(pax({b"path": b""}) + header(b"f"))["name"] == b"f"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (b"1", "link"),
        (b"2", "symlink"),
        (b"3", "char"),
        (b"4", "block"),
        (b"5", "folder"),
        (b"6", "fifo"),
    ],
)
def test_only_files_have_content(kind: bytes, name: str) -> None:
    data = header(name.encode(), kind=kind, size=1000, devices=(8, 1)) + header(b"next") + END
    first, second = both_ways(data)
    assert (first["size"], second["name"]) == (0, b"next")
    assert first["device"] == ((8, 1) if kind in b"34" else None)


def test_contiguous_files_are_files() -> None:
    assert one(entry(b"f", b"hello", kind=b"7"))["kind"] == "0"


def test_the_end_is_two_zero_blocks_and_what_follows_is_ignored() -> None:
    assert len(both_ways(header(b"a") + END + b"garbage" * 999)) == 1
    assert len(both_ways(header(b"a") + bytes(BLOCK))) == 1
    assert len(both_ways(header(b"a"))) == 1
    assert len(both_ways(header(b"a") + bytes(100))) == 1
    assert both_ways(b"") == []
    assert both_ways(END) == []


def test_a_single_zero_block_between_headers_is_refused() -> None:
    error = refused(header(b"a") + bytes(BLOCK) + header(b"b") + END)
    assert str(error) == "a zero block stands between two headers at byte 512"


BAD: list[tuple[str, bytes, int, str]] = [
    ("checksum", header(b"a") + header(b"b", checksum=b"000000\0 "), 512, "checksum is wrong"),
    ("no checksum", header(b"a", checksum=bytes(8)), 0, "checksum is wrong"),
    ("text", b"this is not an archive, it is text. " * 50, 0, "checksum is wrong"),
    ("negative size", header(b"a", size=base256(-1, 12)), 0, "the size is negative"),
    ("minus sign", header(b"a", size=b"-0000000010"), 0, "the size is not a number"),
    ("plus sign", header(b"a", size=b"+0000000010"), 0, "is not a number"),
    ("underscore", header(b"a", size=b"0000000_010"), 0, "is not a number"),
    ("octal prefix", header(b"a", size=b"0o000000010"), 0, "is not a number"),
    ("huge size", header(b"a", size=b"\x80" + b"\xff" * 11), 0, "the size is out of range"),
    ("huge uid", header(b"a", uid=b"\xbf" + b"\xff" * 7), 0, ""),
    ("bad mode", header(b"a", mode=b"99999999"), 0, "the mode is not a number"),
    ("bad mtime", header(b"a", mtime=b"xyz"), 0, "the mtime is not a number"),
    ("unknown type", header(b"a", kind=b"Z"), 0, "unknown type 'Z'"),
    ("control type", header(b"a", kind=b"\x1b"), 0, r"unknown type '\x1b'"),
    ("pax no length", entry(b"x", b"path=f\n", kind=b"x"), 512, "has no length"),
    ("pax length too long", entry(b"x", b"99 path=f\n", kind=b"x"), 512, "a wrong length"),
    ("pax length zero", entry(b"x", b"0 path=f\n", kind=b"x"), 512, "a wrong length"),
    ("pax length huge", entry(b"x", b"9" * 19 + b" a=b\n", kind=b"x"), 512, "a wrong length"),
    ("pax no newline", entry(b"x", b"9 path=ff", kind=b"x"), 512, "a wrong length"),
    ("pax no equals", entry(b"x", b"8 abcde\n", kind=b"x"), 512, "has no key"),
    ("pax no key", entry(b"x", b"5 =b\n", kind=b"x"), 512, "has no key"),
    ("bad global", entry(b"x", b"nonsense", kind=b"g"), 512, "has no length"),
    ("pax NUL in path", pax({b"path": b"a\0b"}) + header(b"a"), 512, "holds a NUL"),
    ("pax long path", pax({b"path": b"a/" * 5000}) + header(b"a"), 512, "longer than any path"),
    ("gnu long path", entry(b"x", b"a" * 5000, kind=b"L") + header(b"a"), 512, "longer than"),
    ("pax negative size", pax({b"size": b"-5"}) + header(b"a"), 512, "size is negative"),
    ("pax huge size", pax({b"size": b"9" * 19}) + header(b"a"), 512, "size is not a number"),
    ("pax huge uid", pax({b"uid": b"9" * 25}) + header(b"a"), 512, "uid is not a number"),
    ("too long", header(b"x", kind=b"x", size=2 << 20), 0, "extended header is too long"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "offset", "problem"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_a_bad_header_is_told_with_its_offset(data: bytes, offset: int, problem: str) -> None:
    if not problem:
        assert both_ways(data + END)[0]["uid"] >= 0
        return
    error = refused(data + END)
    assert isinstance(error, TarError)
    assert error.offset == offset
    assert problem in error.problem


def test_an_archive_cut_anywhere_is_truncated_or_ends_between_entries() -> None:
    whole = (
        pax({b"path": b"p" * 200})
        + entry(b"a", b"x" * 700)
        + entry(b"x", b"n" * 600 + b"\0", kind=b"L")
        + entry(b"b", b"y")
    )
    pax_size, end = 2 * BLOCK, len(whole) - BLOCK + 1
    long_at = pax_size + 3 * BLOCK
    between = {
        0,
        # An extended header with nothing behind it describes nothing.
        *range(BLOCK + len(pax_record(b"path", b"p" * 200)), pax_size + 1),
        *range(pax_size + BLOCK + 700, long_at + 1),
        *range(long_at + BLOCK + 601, long_at + 3 * BLOCK + 1),
        *range(end, end + BLOCK),
    }
    for cut in sorted({*range(0, len(whole) + 1, 64), *between, 1, 511, 513, len(whole) - 1}):
        if cut in between:
            both_ways(whole[:cut])
            continue
        error = refused(whole[:cut])
        assert isinstance(error, TruncatedError), cut
        assert error.offset <= cut


def test_bytes_that_only_fill_the_last_block_may_be_missing() -> None:
    data = entry(b"a", b"x" * 600)
    for cut in (BLOCK + 600, BLOCK + 700, 3 * BLOCK - 1):
        assert both_ways(data[:cut])[0]["size"] == 600
