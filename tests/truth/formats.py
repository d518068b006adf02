"""Layers in all the formats that tar ever had, byte by byte, and what is in them."""

from __future__ import annotations

from functools import partial

from tests import archives
from tests.archives import END, GNU, TIME, base256, octal, padded, pax
from tests.truth.cases import Case
from tests.truth.reference import Seen

entry = partial(archives.entry, mtime=TIME)
header = partial(archives.header, mtime=TIME)
DATA = b"data\n"
LONG = b"n" * 150
DEEP = b"/".join([b"p" * 90, b"q" * 90, b"r" * 40])
HOLES = 1_000_000
"""Size of the sparse files, of which five bytes at 4096 and five at the end are stored."""

_PIECES = ((4096, 5), (HOLES - 5, 5))
_CONTENT = DATA + DATA


def _file(
    size: int = len(DATA), mode: int = 0o644, uid: int = 0, gid: int = 0, mtime: int = TIME
) -> Seen:
    return ("file", mode, uid, gid, size, mtime, None)


def _layer(*entries: bytes) -> bytes:
    """Return a layer of such entries, with the mark of its end."""
    return b"".join(entries) + END


def _one(*entries: bytes, name: bytes = b"x", **changes: int) -> Case:
    """Return a case with a file of that name."""
    path = name.decode("utf-8", "surrogateescape")
    parents = ["/".join(path.split("/")[:count]) for count in range(1, path.count("/") + 1)]
    implied: Seen = ("dir", 0o755, 0, 0, 0, 0, None)
    union = {**dict.fromkeys(parents, implied), path: _file(**changes)}
    return Case([_layer(*entries)], union, frozenset(parents))


def _pax(*records: tuple[bytes, bytes], name: bytes = b"x", **changes: int) -> Case:
    return _one(pax(records), entry(b"x", DATA), name=name, **changes)


def _gnu_long(flag: bytes, value: bytes) -> bytes:
    return entry(b"././@LongLink", value + b"\0", kind=flag, magic=GNU)


def _sparse_tail(pairs: bytes, extended: bytes, real: bytes) -> bytes:
    """Return what GNU's header has where others have the prefix: behind two times, a map."""
    return bytes(41) + pairs.ljust(96, b"\0") + extended + real


def _old_sparse() -> bytes:
    """Return a file of GNU's first sparse format, with its map in the header."""
    pairs = b"".join(octal(start, 12) + octal(length, 12) for start, length in _PIECES)
    real = octal(HOLES, 12)
    return entry(b"x", _CONTENT, kind=b"S", magic=GNU, tail=_sparse_tail(pairs, b"\0", real))


def _old_sparse_extended() -> bytes:
    """Return the same with more pieces than the header has room for."""
    pieces = [(start * 8192, 1) for start in range(30)]
    pairs = [octal(start, 12) + octal(length, 12) for start, length in pieces]
    pairs.append(octal(HOLES, 12) + octal(0, 12))
    block = b"".join(pairs[4:25])
    more = b"".join(pairs[25:])
    return (
        header(
            b"x",
            kind=b"S",
            size=len(pieces),
            magic=GNU,
            tail=_sparse_tail(b"".join(pairs[:4]), b"\1", octal(HOLES, 12)),
        )
        + (block + b"\1").ljust(512, b"\0")
        + more.ljust(512, b"\0")
        + padded(b"z" * len(pieces))
    )


def _number(value: int) -> bytes:
    return b"%d" % value


_MAP = b",".join(_number(value) for piece in _PIECES for value in piece)
_SPARSE_0_0 = [
    (b"GNU.sparse.size", _number(HOLES)),
    (b"GNU.sparse.numblocks", b"2"),
    (b"GNU.sparse.offset", b"4096"),
    (b"GNU.sparse.numbytes", b"5"),
    (b"GNU.sparse.offset", _number(HOLES - 5)),
    (b"GNU.sparse.numbytes", b"5"),
]
_SPARSE_0_1 = [
    (b"GNU.sparse.size", _number(HOLES)),
    (b"GNU.sparse.numblocks", b"2"),
    (b"GNU.sparse.map", _MAP),
    (b"GNU.sparse.name", b"x"),
]
_SPARSE_1_0 = [
    (b"GNU.sparse.major", b"1"),
    (b"GNU.sparse.minor", b"0"),
    (b"GNU.sparse.name", b"x"),
    (b"GNU.sparse.realsize", _number(HOLES)),
]
_MAP_IN_DATA = padded(b"2\n" + b"".join(b"%d\n%d\n" % piece for piece in _PIECES))

FORMATS: dict[str, Case] = {
    "V7, before there was a magic": _one(entry(b"x", DATA, kind=b"\0", magic=b"")),
    "V7, a folder marked by its slash": Case(
        [_layer(entry(b"d/", b"", kind=b"\0", magic=b""))],
        {"d": ("dir", 0o644, 0, 0, 0, TIME, None)},
    ),
    "V7, folders with a size": Case(
        [_layer(header(b"d/", kind=b"\0", magic=b"", size=7), header(b"e/", kind=b"\0", size=999))],
        dict.fromkeys(("d", "e"), ("dir", 0o644, 0, 0, 0, TIME, None)),
    ),
    "a contiguous file": _one(entry(b"x", DATA, kind=b"7")),
    "numbers with blanks": _one(
        entry(b"x", DATA, mode=b"   644 \0", uid=b"     7 \0", size=b"          5 "), uid=7
    ),
    "numbers with leading NULs": _one(
        entry(b"x", DATA, mode=b"\0\0\000644", size=b"\0\0\0005", uid=b"\0007"), uid=7
    ),
    "the type bits in the mode": _one(entry(b"x", DATA, mode=octal(0o100644, 8))),
    "ustar prefix": _one(entry(b"x", DATA, tail=b"a/b"), name=b"a/b/x"),
    "ustar name without its NUL": _one(entry(b"m" * 100, DATA), name=b"m" * 100),
    "GNU magic, with times where ustar has the prefix": _one(
        entry(b"x", DATA, magic=GNU, tail=octal(TIME, 12) + octal(TIME, 12))
    ),
    "GNU magic with a prefix, as Go before 1.7 wrote": _one(
        entry(b"x", DATA, magic=GNU, tail=b"a/b"), name=b"a/b/x"
    ),
    "STAR, whose prefix is shorter": _one(
        entry(b"x", DATA, tail=b"a/b".ljust(131, b"\0") + octal(5, 12) * 2 + bytes(8) + b"tar\0"),
        name=b"a/b/x",
    ),
    "GNU long name": _one(_gnu_long(b"L", LONG), entry(b"x", DATA, magic=GNU), name=LONG),
    "GNU long link": Case(
        [_layer(_gnu_long(b"K", LONG), entry(b"l", b"", kind=b"2", magic=GNU, link=b"short"))],
        {"l": ("symlink", 0o777, 0, 0, 0, TIME, LONG.decode())},
    ),
    "GNU long name and long link": Case(
        [
            _layer(
                _gnu_long(b"K", DEEP), _gnu_long(b"L", LONG), entry(b"l", b"", kind=b"2", magic=GNU)
            )
        ],
        {LONG.decode(): ("symlink", 0o777, 0, 0, 0, TIME, DEEP.decode())},
    ),
    "base-256 owners": _one(
        entry(b"x", DATA, magic=GNU, uid=base256(3_000_000, 8), gid=base256(2_097_152, 8)),
        uid=3_000_000,
        gid=2_097_152,
    ),
    "base-256 size": _one(entry(b"x", DATA, magic=GNU, size=base256(5, 12))),
    "base-256 time after 2242": _one(
        entry(b"x", DATA, magic=GNU, mtime=base256(8_589_934_592, 12)), mtime=8_589_934_592
    ),
    "base-256 time after 2262": _one(
        entry(b"x", DATA, magic=GNU, mtime=base256(10_413_792_000, 12)), mtime=0
    ),
    "base-256 time before 1970": _one(
        entry(b"x", DATA, magic=GNU, mtime=base256(-1000, 12)), mtime=0
    ),
    "pax path": _pax((b"path", LONG), name=LONG),
    "pax path with folders": _pax((b"path", DEEP), name=DEEP),
    "pax path that is not UTF-8": _pax((b"path", b"latin1-\xe4\xff"), name=b"latin1-\xe4\xff"),
    "pax owners": _pax((b"uid", b"3000000"), (b"gid", b"4000000"), uid=3_000_000, gid=4_000_000),
    "pax size": _pax((b"size", b"5")),
    "pax size with leading zeros": _pax((b"size", b"0000000000000000000000005")),
    "a pax header with nothing behind it": Case(
        [_layer(entry(b"x", DATA)), pax({b"path": b"y"})], {"x": _file()}
    ),
    "pax time with a fraction": _pax((b"mtime", b"1234567890.999"), mtime=1_234_567_890),
    "pax time before 1970 with a fraction": _pax((b"mtime", b"-1000.5"), mtime=0),
    "pax with an empty value": _pax((b"path", b"")),
    "pax with words that nobody knows": _pax((b"VENDOR.word", b"value"), (b"comment", b"hello")),
    "pax with the last of equal words": _pax(
        (b"path", b"first"), (b"path", b"second"), name=b"second"
    ),
    "a global pax header": _one(
        pax([(b"uid", b"9"), (b"comment", b"0123456789")], b"g"), entry(b"x", DATA)
    ),
    "an empty name": _one(entry(b"", DATA), entry(b"x", DATA)),
    "an empty name of a link": _one(header(b"", kind=b"2", link=b"y"), entry(b"x", DATA)),
    "a name that leads out": _one(entry(b"../a/../../x", DATA)),
    "a hard link that leads out": Case(
        [_layer(entry(b"x", DATA), header(b"y", kind=b"1", link=b"../x"))],
        dict.fromkeys(("x", "y"), _file()),
    ),
    "a whiteout that leads out": Case(
        [_layer(entry(b"x", DATA), entry(b"y", DATA)), _layer(entry(b"../.wh.y"))], {"x": _file()}
    ),
    "a device 0:0, which is a whiteout": Case(
        [_layer(entry(b"x", DATA), entry(b"y", DATA)), _layer(header(b"y", kind=b"3"))],
        {"x": _file()},
    ),
    "a name that is not UTF-8": _one(entry(b"\xff\xfe-\xe9", DATA), name=b"\xff\xfe-\xe9"),
    "names with control characters": _one(
        entry(b"a\x1b[31m\nb\x07", DATA), name=b"a\x1b[31m\nb\x07"
    ),
    "old GNU sparse": _one(_old_sparse(), size=HOLES),
    "old GNU sparse with more blocks": _one(_old_sparse_extended(), size=HOLES),
    "pax sparse 0.0": _one(pax(_SPARSE_0_0), entry(b"x", _CONTENT), size=HOLES),
    "pax sparse 0.1": _one(pax(_SPARSE_0_1), entry(b"GNUSparseFile.1/x", _CONTENT), size=HOLES),
    "pax sparse 1.0": _one(
        pax(_SPARSE_1_0), entry(b"GNUSparseFile.1/x", _MAP_IN_DATA + _CONTENT), size=HOLES
    ),
    "no mark of the end": Case([entry(b"x", DATA)], {"x": _file()}),
    "more zeros behind the end": Case([_layer(entry(b"x", DATA)) + bytes(9216)], {"x": _file()}),
    "an empty layer": Case([_layer(entry(b"x", DATA)), bytes(1024)], {"x": _file()}),
    "the same layer twice": Case([_layer(entry(b"x", DATA))] * 2, {"x": _file()}),
}
"""Every layer holds a file `x` with `data`, unless its case says otherwise."""
