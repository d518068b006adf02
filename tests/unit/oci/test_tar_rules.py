"""The rules by which Go's archive/tar, and so every engine, reads a tar: one example each.

`RULES` has archives that Go reads, with what it makes of the last entry; `BAD` has those that it
refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from layerscope.oci.tar_header import TarError
from tests.archives import (
    BLOCK,
    END,
    GNU,
    USTAR,
    V7,
    base256,
    both_ways,
    entry,
    header,
    octal,
    padded,
    pax,
    pax_record,
    refused,
)

Fields = Mapping[str, Any]
TAIL_OF_STAR = b"t" * 131 + octal(5, 12) + octal(5, 12) + bytes(8) + b"tar\0"


def rewritten(block: bytes, **fields: bytes) -> bytes:
    """A header with bytes at `_OFFSET` replaced, and a right checksum unless that is one."""
    out = bytearray(block)
    for place, data in fields.items():
        start = int(place.lstrip("_"))
        out[start : start + len(data)] = data
    if "_148" not in fields:
        out[148:156] = b" " * 8
        out[148:156] = b"%06o\0 " % sum(out)
    return bytes(out)


def checksum(form: Callable[[int], bytes], name: bytes = b"f", signed: bool = False) -> bytes:
    block = rewritten(header(name), _148=b" " * 8)
    total = sum(block) - signed * 256 * sum(byte > 127 for byte in block)
    return rewritten(block, _148=form(total).ljust(8, b"\0"))


def sized(size: bytes) -> bytes:
    return entry(b"f", b"hello", size=size)


def long(kind: bytes, value: bytes) -> bytes:
    return entry(b"././@LongLink", value, kind=kind, magic=GNU)


def said(*records: tuple[bytes, bytes], **fields: Any) -> bytes:
    """A file with pax records."""
    return pax(records) + header(b"f", **fields)


def raw_pax(data: bytes) -> bytes:
    return entry(b"x", data, kind=b"x") + header(b"f")


def sparse(*records: tuple[bytes, bytes], data: bytes = b"abc", **fields: Any) -> bytes:
    prefixed = [(b"GNU.sparse." + key, value) for key, value in records]
    return pax(prefixed) + entry(b"f", data, **fields)


MAP_1_0 = b"1\n0\n3\n".ljust(BLOCK, b"\0") + b"abc"
OLD_SPARSE = bytes(41) + octal(0, 12) + octal(3, 12) + bytes(72) + b"\0" + octal(9, 12)
V1_0 = ((b"major", b"1"), (b"minor", b"0"))

RULES: dict[str, tuple[bytes, Fields]] = {
    # Numbers.
    "digits end at a NUL": (sized(b"5\0junk"), {"size": 5}),
    "leading NULs are trimmed": (sized(b"\0\0\0005"), {"size": 5}),
    "NULs and spaces around digits": (sized(b" \0 5 \0 "), {"size": 5}),
    "twelve digits fill the field": (sized(b"000000000005"), {"size": 5}),
    "an empty number is 0": (header(b"f", mode=bytes(8), uid=b" " * 8), {"mode": 0, "uid": 0}),
    "base-256": (sized(base256(5, 12)), {"size": 5}),
    "base-256, the smallest": (header(b"f", mtime=base256(-(2**63), 12)), {"mtime": -(2**63)}),
    "base-256, the largest": (header(b"f", mtime=base256(2**63 - 1, 12)), {"mtime": 2**63 - 1}),
    "base-256 owners": (header(b"f", uid=base256(-2, 8), gid=base256(2**40, 8)), {"uid": -2}),
    # Checksums.
    "signed checksum": (checksum(lambda n: b"%06o\0 " % n, b"\xff", True), {"name": b"\xff"}),
    "unsigned checksum": (checksum(lambda n: b"%06o\0 " % n, b"\xff"), {"name": b"\xff"}),
    "checksum of seven digits": (checksum(lambda n: b"%07o\0" % n), {}),
    "checksum of eight digits": (checksum(lambda n: b"%08o" % n), {}),
    "checksum with NULs and spaces before": (checksum(lambda n: b"\0 %o" % n), {}),
    # Formats.
    "ustar has a prefix": (header(b"f", tail=b"a/b"), {"name": b"a/b/f"}),
    "ustar of any version": (header(b"f", magic=b"ustar\0xx", tail=b"a"), {"name": b"a/f"}),
    "V7 has no prefix": (header(b"f", magic=V7, tail=b"a"), {"name": b"f"}),
    "another magic is V7": (header(b"f", magic=b"ustar 00", tail=b"a"), {"name": b"f"}),
    "GNU of another version is V7": (header(b"f", magic=b"ustar  x", tail=b"a"), {"name": b"f"}),
    "GNU has times there": (
        header(b"f", magic=GNU, tail=octal(5, 12) + octal(6, 12)),
        {"name": b"f"},
    ),
    "GNU with a prefix, of Go before 1.8": (
        header(b"f", magic=GNU, tail=b"some/folder"),
        {"name": b"some/folder/f"},
    ),
    "GNU with a prefix that is not ASCII": (
        header(b"f", magic=GNU, tail=b"\xc3\xa4/b"),
        {"name": b"f"},
    ),
    "GNU with a bad ctime alone": (header(b"f", magic=GNU, tail=bytes(12) + b"x"), {"name": b"f"}),
    "STAR has a shorter prefix": (header(b"f", tail=TAIL_OF_STAR), {"name": b"t" * 131 + b"/f"}),
    "an empty name behind a prefix": (header(b"", kind=b"5", tail=b"a"), {"name": b"a/"}),
    "V7 has no devices": (header(b"f", kind=b"3", magic=V7, devices=(8, 1)), {"device": (0, 0)}),
    "GNU has devices": (header(b"f", kind=b"3", magic=GNU, devices=(8, 1)), {"device": (8, 1)}),
    "garbage for devices in V7": (rewritten(header(b"f", magic=V7), _329=b"zz"), {"kind": "0"}),
    # Types and sizes.
    "type NUL is a file": (entry(b"f", b"x", kind=b"\0"), {"kind": "0", "size": 1}),
    "type NUL with a slash is a folder without content": (
        header(b"d/", kind=b"\0", size=999) + header(b"e/", kind=b"\0", size=5),
        {"kind": "5"},
    ),
    "type NUL with a slash in its long name": (
        long(b"L", b"n/\0") + header(b"n", kind=b"\0", size=9),
        {"kind": "5", "name": b"n/"},
    ),
    "type NUL without a slash in its pax path": (
        pax({b"path": b"n"}) + entry(b"d/", b"x", kind=b"\0"),
        {"kind": "0", "size": 1},
    ),
    "type NUL with a prefix and no name": (
        header(b"", kind=b"\0", tail=b"a", size=9),
        {"kind": "5"},
    ),
    "type 0 with a slash is a file": (entry(b"f/", b"x"), {"kind": "0", "size": 1}),
    "type 7 is a file": (entry(b"f", b"x", kind=b"7"), {"kind": "0", "size": 1}),
    "a folder has no content": (header(b"d", kind=b"5", size=999), {"size": 0}),
    "a negative size of what has no content": (
        header(b"d", kind=b"5", size=base256(-1, 12)),
        {"size": 0},
    ),
    # Long names.
    "a long name ends at a NUL": (long(b"L", b"lo\0ng") + header(b"f"), {"name": b"lo"}),
    "a long name without a NUL": (long(b"L", b"long") + header(b"f"), {"name": b"long"}),
    "an empty long name says nothing": (long(b"L", b"\0") + header(b"f"), {"name": b"f"}),
    "the last long name counts": (
        long(b"L", b"a") + long(b"L", b"b") + header(b"f"),
        {"name": b"b"},
    ),
    "a long name goes before a pax path": (
        long(b"L", b"gnu") + said((b"path", b"pax")),
        {"name": b"gnu"},
    ),
    "a long link": (long(b"K", b"gnu") + header(b"f", kind=b"2", link=b"short"), {"link": b"gnu"}),
    # Pax.
    "a pax path may end in a slash": (said((b"path", b"p/")), {"name": b"p/", "kind": "0"}),
    "an empty pax value says nothing": (
        said((b"path", b""), (b"uid", b""), (b"size", b""), (b"mtime", b""), uid=7),
        {"name": b"f", "uid": 7},
    ),
    "the last of equal keys counts": (said((b"uid", b"5"), (b"uid", b"6")), {"uid": 6}),
    "an empty one of equal keys undoes the others": (
        said((b"path", b"p"), (b"path", b"")),
        {"name": b"f"},
    ),
    "the last of two headers counts": (
        pax({b"uid": b"5"}) + said((b"gid", b"6")),
        {"uid": 0, "gid": 6},
    ),
    "what a header says that does not count is not checked": (
        pax({b"uid": b"x"}) + said((b"gid", b"6")),
        {"gid": 6},
    ),
    "a global header says nothing": (pax({b"uid": b"x"}, b"g") + header(b"f"), {"uid": 0}),
    "a global header ends what was said": (
        pax({b"path": b"p"}) + long(b"L", b"l") + pax({}, b"g") + header(b"f"),
        {"name": b"f"},
    ),
    "pax numbers with zeros and signs": (
        said((b"uid", b"0" * 30 + b"5"), (b"gid", b"+6"), (b"size", b"0000"), (b"mtime", b"007")),
        {"uid": 5, "gid": 6, "mtime": 7},
    ),
    "a negative pax owner": (said((b"uid", b"-5")), {"uid": -5}),
    "a pax length with zeros and sign": (raw_pax(b"0000011 a=\n+6 a=\n"), {}),
    "a key that nobody knows": (said((b"VENDOR.x", b"a=b\0c\n")), {}),
    "xattrs of SCHILY": (
        said((b"SCHILY.xattr.user.a=b", b"c\0d")),
        {"xattrs": {b"user.a": b"b=c\0d"}},
    ),
    "xattrs of libarchive are not read": (
        said((b"LIBARCHIVE.xattr.user.a", b"eA")),
        {"xattrs": {}},
    ),
    "a negative time with a fraction": (said((b"mtime", b"-1.25")), {"mtime": -2}),
    "a fraction below a nanosecond": (said((b"mtime", b"-1.0000000001")), {"mtime": -1}),
    "minus a fraction": (said((b"mtime", b"-0.5")), {"mtime": -1}),
    "a time that ends in a dot": (said((b"mtime", b"12.")), {"mtime": 12}),
    "a pax size of what has no content": (said((b"size", b"999"), kind=b"5"), {"size": 0}),
    # Sparse files.
    "old GNU sparse": (
        entry(b"f", b"abc", kind=b"S", magic=GNU, tail=OLD_SPARSE),
        {"size": 9, "sparse": [(0, 3)], "kind": "0"},
    ),
    "sparse 0.0": (
        sparse((b"size", b"9"), (b"numblocks", b"1"), (b"offset", b"1"), (b"numbytes", b"3")),
        {"size": 9, "sparse": [(1, 3)]},
    ),
    "sparse 0.1": (
        sparse((b"size", b"9"), (b"numblocks", b"1"), (b"map", b"1,3"), (b"name", b"n")),
        {"size": 9, "sparse": [(1, 3)], "name": b"n"},
    ),
    "sparse 0.1 with its version": (
        sparse((b"major", b"0"), (b"minor", b"1"), (b"numblocks", b"1"), (b"map", b"0,3")),
        {"size": 3, "sparse": [(0, 3)]},
    ),
    "sparse 1.0": (
        sparse(*V1_0, (b"realsize", b"9"), (b"name", b"n"), data=MAP_1_0),
        {"size": 9, "sparse": [(0, 3)], "name": b"n", "data_offset": 4 * BLOCK},
    ),
    "a sparse size goes before the real size": (
        sparse((b"size", b"9"), (b"realsize", b"8"), (b"map", b"0,3")),
        {"size": 9},
    ),
    "an unknown version of sparse is none": (
        sparse((b"major", b"2"), (b"minor", b"0"), (b"realsize", b"9"), (b"name", b"n")),
        {"size": 3, "sparse": None, "name": b"f"},
    ),
    "sparse without a map is none": (
        sparse((b"realsize", b"9"), (b"name", b"n")),
        {"size": 3, "sparse": None, "name": b"f"},
    ),
}

BAD: dict[str, bytes] = {
    "digits with a space between": sized(b"5 5"),
    "a digit above 7": sized(b"8"),
    "a sign": sized(b"-5"),
    "a tab": sized(b"\t5"),
    "base-256 out of range": sized(b"\x80\1" + bytes(10)),
    "a negative size": sized(base256(-1, 12)),
    "garbage in the mode": header(b"f", mode=b"rw"),
    "garbage in the size, replaced by pax": said((b"size", b"0"), size=b"x"),
    "a checksum with a sign": checksum(lambda n: b"+%06o" % n),
    "a checksum with more digits behind": checksum(lambda n: b"%06o 7" % n),
    "garbage for devices in ustar": rewritten(header(b"f"), _329=b"zz"),
    "garbage for times in STAR": header(b"f", tail=TAIL_OF_STAR.replace(octal(5, 12), b"x" * 12)),
    "a negative pax size": said((b"size", b"-1")),
    "a pax number with a space": said((b"uid", b" 5")),
    "a pax number with a fraction": said((b"uid", b"5.0")),
    "a pax number out of range": said((b"uid", b"9223372036854775808")),
    "a time without whole seconds": said((b"mtime", b".5")),
    "a time with two dots": said((b"mtime", b"1.2.3")),
    "a bad atime": said((b"atime", b"x")),
    "a bad ctime": said((b"ctime", b"1.x")),
    "a NUL in a pax path": said((b"path", b"a\0b")),
    "a NUL in a pax link": said((b"linkpath", b"a\0")),
    "a NUL in a pax owner": said((b"uname", b"a\0")),
    "a NUL in a key": said((b"a\0b", b"c")),
    "a pax record shorter than any": raw_pax(b"4 a\n"),
    "a pax record without a newline": raw_pax(b"6 a=b "),
    "a pax record without a key": raw_pax(b"5 =b\n"),
    "zeros behind the pax records": raw_pax(pax_record(b"a", b"b") + b"\0"),
    "a bad global header": entry(b"x", b"nonsense", kind=b"g"),
    "sparse pieces in the wrong order": sparse((b"numbytes", b"3"), (b"offset", b"0")),
    "a sparse piece with a comma": sparse((b"offset", b"0,3"), (b"numbytes", b"3")),
    "a sparse map of another length": sparse((b"numblocks", b"2"), (b"map", b"0,3")),
    "a sparse map with an empty number": sparse((b"size", b"9"), (b"map", b"0,3,,")),
    "a negative piece": sparse((b"size", b"9"), (b"map", b"0,-3")),
    "a negative sparse size": sparse((b"size", b"-9"), (b"map", b"0,3")),
    "a sparse folder": sparse((b"map", b"0,0"), data=b"", kind=b"5"),
    "sparse 1.0 without a map": sparse(*V1_0, data=b""),
    "a zero block between headers": header(b"a") + bytes(BLOCK) + header(b"b"),
}

ENDS: dict[str, tuple[bytes, int]] = {
    "two zero blocks": (END, 1),
    "one zero block": (bytes(BLOCK), 1),
    "nothing": (b"", 1),
    "garbage behind the end": (END + b"garbage" * 99, 1),
    "headers behind the end": (END + header(b"b"), 1),
    "a pax header with nothing behind it": (pax({b"path": b"p"}), 1),
    "a pax header before the end": (pax({b"path": b"p"}) + END, 1),
    "a long name with nothing behind it": (long(b"L", b"n"), 1),
    "no padding of the last content": (padded(header(b"b", size=5)) + b"hello", 2),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_tar_is_read_as_go_reads_it(rule: str) -> None:
    data, fields = RULES[rule]
    found = both_ways(data + END)[-1]
    assert {name: found[name] for name in fields} == dict(fields)


@pytest.mark.parametrize("rule", BAD)
def test_what_go_refuses_is_refused(rule: str) -> None:
    assert isinstance(refused(BAD[rule] + END), TarError)


@pytest.mark.parametrize("rule", ENDS)
def test_a_tar_ends_where_go_ends_it(rule: str) -> None:
    end, count = ENDS[rule]
    assert len(both_ways(header(b"a", magic=USTAR) + end)) == count
