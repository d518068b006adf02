"""Detects the kind of a file from its bytes."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime

from layerscope.content.access import RandomAccess
from layerscope.content.certificates import describe_der, describe_pem
from layerscope.content.description import Description, Fact, NotThatKind
from layerscope.content.elf import MAGIC as ELF
from layerscope.content.elf import describe_elf
from layerscope.content.encoding import LABELS, text_encoding
from layerscope.content.packed import describe_packed
from layerscope.content.pictures import describe_picture, svg_facts

#: The number of bytes examined.
HEAD = 64 << 10

#: The largest bundle of certificates, and the largest certificate.
_LARGEST_PEM = 4 << 20
_LARGEST_DER = 64 << 10

#: The last two bytes of the magic number of bytecode; the first two are the version.
_PYC_END = b"\r\n"
_PYC_RANGES = (
    (3360, 3379, "3.6"),
    (3390, 3399, "3.7"),
    (3400, 3419, "3.8"),
    (3420, 3429, "3.9"),
    (3430, 3449, "3.10"),
    (3450, 3499, "3.11"),
    (3500, 3549, "3.12"),
    (3550, 3599, "3.13"),
    (3600, 3649, "3.14"),
)

_OTHER = (
    (b"\xca\xfe\xba\xbe", "class", "Java class"),
    (b"\0asm", "wasm", "WebAssembly module"),
    (b"%PDF-", "pdf", "PDF document"),
    (b"\xde\x12\x04\x95", "gettext", "gettext translations"),
    (b"\x95\x04\x12\xde", "gettext", "gettext translations"),
    (b"TZif", "timezone", "time zone"),
    (b"wOFF", "font", "WOFF font"),
    (b"wOF2", "font", "WOFF2 font"),
    (b"OTTO", "font", "OpenType font"),
    (b"\0\1\0\0\0", "font", "TrueType font"),
    (b"MZ", "pe", "Windows or DOS executable"),
)

_SHEBANG = re.compile(rb"#![ \t]*([^\r\n]{1,200})")


def describe(source: RandomAccess, name: str) -> Description:
    """Describes a file from its first bytes and, for some kinds, a few more."""
    name = name.rpartition("/")[2]
    head = source.read(0, HEAD)
    if not head:
        return Description("empty", "empty", "ascii")
    try:
        found = _binary(head, source, name)
    except NotThatKind as problem:
        found = Description("damaged", f"binary, {problem}")
    if found is not None:
        return found
    encoding = text_encoding(head, len(head) == source.size)
    if encoding is None:
        return Description("binary", "binary")
    return _text(head, source, encoding)


def _binary(head: bytes, source: RandomAccess, name: str) -> Description | None:
    if head.startswith(ELF):
        return describe_elf(source)
    found = describe_picture(head, source) or describe_packed(head, source, name)
    if found is not None:
        return found
    if head.startswith(b"SQLite format 3\0"):
        return _sqlite(head)
    if name.endswith(".pyc") and head[2:4] == _PYC_END:
        return _bytecode(head)
    if head[:2] in (b"\x30\x82", b"\x30\x81") and source.size <= _LARGEST_DER:
        try:
            return describe_der(source.read(0, _LARGEST_DER))
        except NotThatKind:
            pass
    for magic, kind, summary in _OTHER:
        if head.startswith(magic) and (kind != "pe" or b"\0" in head[:64]):
            return Description(kind, summary)
    return None


def _text(head: bytes, source: RandomAccess, encoding: str) -> Description:
    label = LABELS[encoding]
    if b"-----BEGIN " in head[:8192]:
        found = describe_pem(source.read(0, _LARGEST_PEM))
        if found is not None:
            return Description(found.kind, found.summary, encoding, found.facts)
    facts: list[Fact] = []
    kind, summary = "text", f"{label} text"
    shebang = _SHEBANG.match(head)
    if shebang is not None:
        kind, summary = "script", f"script, {label}"
        command = shebang[1].decode("utf-8", "surrogateescape").strip()
        facts.append(Fact("interpreter", "Interpreter", command))
    else:
        svg = svg_facts(head) if b"<svg" in head[:4096] else None
        if svg is not None:
            kind, summary = "svg", "SVG picture"
            facts += svg
    unit = 2 if encoding.startswith("utf-16") else 1
    if unit == 1 and b"\r\n" in head and head.count(b"\r\n") == head.count(b"\n"):
        summary += ", CRLF"
        facts.append(Fact("line_ends", "Line ends", "CRLF"))
    return Description(kind, summary, encoding, tuple(facts))


def _sqlite(head: bytes) -> Description:
    if len(head) < 100:
        raise NotThatKind("the database is truncated")
    page, pages, text, user, app, version = struct.unpack_from(">H10xI24xII4xI24xI", head, 16)
    encodings = {1: "UTF-8", 2: "UTF-16 LE", 3: "UTF-16 BE"}
    facts = [
        Fact("page_size", "Page size", 65_536 if page == 1 else page),
        Fact("pages", "Pages", pages),
        Fact("encoding", "Encoding", encodings.get(text, "unknown")),
    ]
    if version:
        number = f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"
        facts.append(Fact("written_by", "Written by", f"SQLite {number}"))
    if user:
        facts.append(Fact("user_version", "User version", user))
    if app:
        facts.append(Fact("application_id", "Application id", f"{app:#x}"))
    return Description("sqlite", "SQLite database", None, tuple(facts))


def _bytecode(head: bytes) -> Description:
    if len(head) < 16:
        raise NotThatKind("the bytecode is truncated")
    number, flags, stamp, size = struct.unpack_from("<H2xIII", head)
    version = next((v for low, high, v in _PYC_RANGES if low <= number <= high), "")
    facts = [Fact("magic", "Magic number", number)]
    if flags & 1:
        facts.append(Fact("source_hash", "Hash of source", head[8:16].hex()))
    else:
        when = datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M UTC")
        facts.append(Fact("source_time", "Source from", when))
        facts.append(Fact("source_size", "Size of source", size))
    return Description("pyc", f"Python {version} bytecode".replace("  ", " "), None, tuple(facts))
