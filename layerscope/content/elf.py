"""ELF files: loader, dependencies, and how they were linked (System V ABI, chapters 4 and 5)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from layerscope.content.access import RandomAccess
from layerscope.content.description import Description, Fact, NotThatKind

MAGIC = b"\x7fELF"

_TYPES = {1: "relocatable object", 3: "shared object", 4: "core dump"}
_MACHINES = {
    3: "x86",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC 64",
    22: "S/390",
    40: "ARM",
    43: "SPARC V9",
    62: "x86-64",
    183: "AArch64",
    243: "RISC-V",
    247: "eBPF",
    258: "LoongArch",
}
_ABIS = {0: "System V", 3: "GNU/Linux", 9: "FreeBSD"}

_LOAD, _DYNAMIC, _INTERP, _NOTE, _RELRO, _STACK = 1, 2, 3, 4, 0x6474E552, 0x6474E551
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_BIND_NOW, _FLAGS, _FLAGS_1 = 24, 30, 0x6FFFFFFB
_FLAG_NOW, _FLAG_1_NOW, _FLAG_1_PIE = 8, 1, 0x08000000

#: Linkers produce far fewer and smaller ones; a hostile file can claim any number.
_MOST_HEADERS = 4096
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    flags: int
    offset: int
    address: int
    size: int


class _Elf:
    def __init__(self, source: RandomAccess) -> None:
        self._source = source
        ident = source.read(0, 16)
        if len(ident) < 16 or ident[:4] != MAGIC or not {ident[4], ident[5]} <= {1, 2}:
            raise NotThatKind("not an ELF header")
        self.wide = ident[4] == 2
        self.order = "<" if ident[5] == 1 else ">"
        self.abi = ident[7]
        size = 64 if self.wide else 52
        layout = "HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH"
        fields = self.unpack(layout, source.read(16, size - 16))
        self.type, self.machine = fields[0], fields[1]
        self._segment_table, self._section_table = fields[4], fields[5]
        self._segment_size, self._segments = fields[8], fields[9]
        self._section_size, self._sections, self._names = fields[10], fields[11], fields[12]

    def unpack(self, layout: str, data: bytes) -> tuple[int, ...]:
        layout = self.order + layout
        if len(data) < struct.calcsize(layout):
            raise NotThatKind("it is truncated")
        return struct.unpack_from(layout, data)

    def segments(self) -> list[_Segment]:
        found = []
        for data in self._table(self._segment_table, self._segment_size, self._segments):
            if self.wide:
                kind, flags, offset, address, _, size = self.unpack("IIQQQQ", data)
            else:
                kind, offset, address, _, size, _, flags = self.unpack("IIIIIII", data)
            found.append(_Segment(kind, flags, offset, address, size))
        return found

    def sections(self) -> dict[str, int]:
        table = list(self._table(self._section_table, self._section_size, self._sections))
        layout = "IIQQQQ" if self.wide else "IIIIII"
        headers = [self.unpack(layout, data) for data in table]
        if not self._names < len(headers):
            return {}
        names = self.range(headers[self._names][4], headers[self._names][5])
        return {_string(names, header[0]): header[1] for header in headers}

    def range(self, offset: int, size: int) -> bytes:
        if offset >= self._source.size:
            return b""
        return self._source.read(offset, min(size, _LARGEST))

    def _table(self, offset: int, size: int, count: int) -> Iterator[bytes]:
        count = min(count, _MOST_HEADERS)
        data = self.range(offset, size * count)
        for index in range(len(data) // size if size else 0):
            yield data[index * size : (index + 1) * size]

    def dynamic(self, segment: _Segment) -> list[tuple[int, int]]:
        layout, size = ("qQ", 16) if self.wide else ("iI", 8)
        data = self.range(segment.offset, segment.size)
        entries = []
        for at in range(0, len(data) - size + 1, size):
            tag, value = self.unpack(layout, data[at : at + size])
            if not tag:
                break
            entries.append((tag, value))
        return entries

    def build_id(self, segment: _Segment) -> str:
        data = self.range(segment.offset, segment.size)
        at = 0
        while at + 12 <= len(data):
            names, size, kind = self.unpack("III", data[at : at + 12])
            at += 12
            name = data[at : at + names]
            at += -(-names // 4) * 4
            if kind == 3 and name == b"GNU\0":
                return data[at : at + size].hex()
            at += -(-size // 4) * 4
        return ""


def _string(table: bytes, at: int) -> str:
    end = table.find(b"\0", at)
    return table[at : end if end >= 0 else len(table)].decode("utf-8", "surrogateescape")


def describe_elf(source: RandomAccess) -> Description:
    """Describes an ELF file. Reads its headers, at its beginning and its end.

    Raises NotThatKind if it is not one, or its header is damaged.
    """
    elf = _Elf(source)
    segments = elf.segments()
    machine = _MACHINES.get(elf.machine, f"machine {elf.machine}")
    by_kind = {segment.kind: segment for segment in segments}
    interpreter = b""
    if (segment := by_kind.get(_INTERP)) is not None:
        interpreter = elf.range(segment.offset, min(segment.size, 4096)).rstrip(b"\0")
    dynamic = elf.dynamic(by_kind[_DYNAMIC]) if _DYNAMIC in by_kind else []
    values = dict(dynamic)
    flags, flags_1 = values.get(_FLAGS, 0), values.get(_FLAGS_1, 0)
    now = _BIND_NOW in values or bool(flags & _FLAG_NOW or flags_1 & _FLAG_1_NOW)
    # Older linkers do not set the flag, and a library such as libc can have an interpreter.
    runnable = bool(interpreter) and _SONAME not in values
    pie = elf.type == 3 and (bool(flags_1 & _FLAG_1_PIE) or runnable)
    runs = pie or elf.type == 2
    kind = "executable" if runs else _TYPES.get(elf.type, f"type {elf.type}")
    static = runs and not interpreter and _NEEDED not in values
    bits = "64-bit" if elf.wide else "32-bit"
    facts = [
        Fact("type", "Type", kind),
        Fact("class", "Class", bits),
        Fact("byte_order", "Byte order", "little endian" if elf.order == "<" else "big endian"),
        Fact("machine", "Machine", machine),
        Fact("abi", "ABI", _ABIS.get(elf.abi, str(elf.abi))),
    ]
    if interpreter:
        facts.append(Fact("interpreter", "Interpreter", _string(interpreter, 0)))
    facts += _linked(elf, segments, dynamic)
    sections = elf.sections()
    if runs or elf.type == 3:
        if runs:
            facts.append(Fact("static", "Static", static))
            facts.append(Fact("pie", "Position independent", pie))
        hardened = ("full" if now else "partial") if _RELRO in by_kind else "none"
        facts.append(Fact("relro", "RELRO", hardened))
        if _STACK in by_kind:
            executable = bool(by_kind[_STACK].flags & 1)
            facts.append(Fact("executable_stack", "Executable stack", executable))
        facts.append(Fact("stripped", "Stripped", ".symtab" not in sections))
        if any(name.startswith((".debug_", ".zdebug_")) for name in sections):
            facts.append(Fact("debug_info", "Debug information", True))
    build_ids = (elf.build_id(segment) for segment in segments if segment.kind == _NOTE)
    if build_id := next(filter(None, build_ids), ""):
        facts.append(Fact("build_id", "Build id", build_id))
    summary = f"ELF {bits} {machine} {kind}{', static' if static else ''}"
    return Description("elf", summary, None, tuple(facts))


def _linked(elf: _Elf, segments: list[_Segment], dynamic: list[tuple[int, int]]) -> Iterator[Fact]:
    """What the dynamic section refers to; its strings are given by address."""
    values = dict(dynamic)
    at = values.get(_STRTAB, -1)
    loaded = (s for s in segments if s.kind == _LOAD and 0 <= at - s.address < s.size)
    segment = next(loaded, None)
    if segment is None:
        return
    names = elf.range(segment.offset + at - segment.address, values.get(_STRSZ, _LARGEST))
    needed = tuple(_string(names, value) for tag, value in dynamic if tag == _NEEDED)
    if needed:
        yield Fact("needed", "Needs", needed)
    for tag, key, title in (
        (_SONAME, "soname", "Name"),
        (_RPATH, "rpath", "RPATH"),
        (_RUNPATH, "runpath", "RUNPATH"),
    ):
        if tag in values and _string(names, values[tag]):
            yield Fact(key, title, _string(names, values[tag]))
