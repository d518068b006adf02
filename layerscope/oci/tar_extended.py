"""Tar headers that describe the next header: pax records, GNU long names, sparse maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from layerscope.oci.tar_header import (
    BLOCK,
    MAX_NUMBER,
    TarError,
    header_only,
    parse_number,
)
from layerscope.text import visible

#: The longest extended header. Go, and so every engine, has the same limit.
MAX_EXTENDED = 1 << 20

#: The longest path or link target on Linux (PATH_MAX).
MAX_PATH = 4096

#: The most bytes, besides names, in the extended headers of one archive.
MAX_KEPT = 512 << 20

#: The prefix that Go, and so every engine, uses. No engine reads libarchive's own.
_XATTR_PREFIX = b"SCHILY.xattr."

#: Keys whose values are strings that end at a NUL in other formats.
_STRINGS = frozenset((b"path", b"linkpath", b"uname", b"gname"))

_SPARSE_PAIR = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_SPARSE_MAP = b"GNU.sparse.map"

#: Major and minor numbers of the sparse formats; the first ones had none.
_SPARSE_VERSIONS = ((b"", b""), (b"0", b"0"), (b"0", b"1"), (b"1", b"0"))


@dataclass(slots=True)
class Override:
    """Fields of a header that extended headers replace, or None."""

    path: bytes | None = None
    link: bytes | None = None
    size: int | None = None
    stored_size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime: int | None = None
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    sparse: list[tuple[int, int]] | None = None
    map_in_data: bool = False
    data_shift: int = 0

    @property
    def weight(self) -> int:
        """Approximate memory of xattrs and sparse maps in bytes, beyond the usual."""
        xattrs = sum(len(key) + len(value) + 100 for key, value in self.xattrs.items())
        return max(0, xattrs - 100) + 100 * len(self.sparse or ())


def parse_pax(data: bytes, offset: int) -> dict[bytes, bytes]:
    r"""Splits pax records, `"%d %s=%s\n"` each, into keys and values.

    Of equal keys the last wins, but GNU sparse format 0.0 repeats `GNU.sparse.offset` and
    `GNU.sparse.numbytes`; those are collected into one `GNU.sparse.map`, as in format 0.1.

    `offset` is where the content begins in the archive. Raises TarError if a record's length is
    wrong, it has no key, or it has a NUL where none is allowed.
    """
    records: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position)
        digits = data[position:space] if space > 0 else b""
        length = _number(digits)
        if length is None and not digits.isdigit():
            raise TarError(offset + position, "a pax record has no length")
        end = position + (length or 0)
        if end < position + 5 or end > len(data) or end <= space + 1 or data[end - 1] != 0x0A:
            raise TarError(offset + position, "a pax record has a wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise TarError(offset + position, "a pax record has no key")
        if b"\0" in (value if key in _STRINGS else key):
            raise TarError(offset + position, f"the pax {visible(key)} holds a NUL")
        if key in _SPARSE_PAIR:
            if key != _SPARSE_PAIR[len(pieces) % 2] or b"," in value:
                raise TarError(offset + position, "the sparse map is not in pairs")
            pieces.append(value)
        else:
            records[key] = value
        position = end
    if pieces:
        records[b"GNU.sparse.map"] = b",".join(pieces)
    return records


def apply_pax(override: Override, records: Mapping[bytes, bytes], offset: int) -> None:
    """Applies pax records to an override; `apply_sparse` handles those of sparse files.

    An empty value selects the header's own field (POSIX.1-2001, pax "Extended Header Keywords").
    Raises TarError if a value is invalid for its keyword.
    """
    for key, value in records.items():
        if not value:
            continue
        if key == b"path":
            override.path = checked_path(value, offset)
        elif key == b"linkpath":
            override.link = checked_path(value, offset)
        elif key == b"size":
            override.size = override.stored_size = _integer(value, "pax size", offset)
        elif key == b"uid":
            override.uid = _integer(value, "pax uid", offset)
        elif key == b"gid":
            override.gid = _integer(value, "pax gid", offset)
        elif key == b"mtime":
            override.mtime = _seconds(value, "mtime", offset)
        elif key in (b"atime", b"ctime"):
            _seconds(value, key.decode(), offset)
        elif key.startswith(_XATTR_PREFIX):
            override.xattrs[key[len(_XATTR_PREFIX) :]] = value


def apply_sparse(
    override: Override, records: Mapping[bytes, bytes], kind: int, offset: int
) -> None:
    """Applies the GNU sparse formats 0.0 and 0.1, and the names of 1.0 (whose map is in the data).

    With an unknown version, the other records are ignored. Raises TarError if the map is invalid
    or an entry of type `kind` cannot have one.
    """
    version = (records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b""))
    if version not in _SPARSE_VERSIONS or (version == (b"", b"") and _SPARSE_MAP not in records):
        return
    if header_only(kind):
        raise TarError(offset, "a sparse map belongs to something that is not a file")
    if name := records.get(b"GNU.sparse.name"):
        if b"\0" in name:
            raise TarError(offset, "the sparse name holds a NUL")
        override.path = checked_path(name, offset)
    if real := records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize"):
        override.size = _integer(real, "sparse size", offset)
        if override.size < 0:
            raise TarError(offset, "the sparse size is negative")
    if version == (b"1", b"0"):
        override.map_in_data = True
        return
    text = records.get(_SPARSE_MAP)
    numbers = [_integer(n, "sparse map", offset) for n in text.split(b",")] if text else []
    count = records.get(b"GNU.sparse.numblocks")
    if count is not None and _number(count) != len(numbers) / 2:
        raise TarError(offset, "the sparse map has another length than its header says")
    override.sparse = sparse_map(numbers, override.size, offset)


def checked_path(value: bytes, offset: int) -> bytes | None:
    """A path or link target from an extended header; None if it is empty.

    Raises TarError if it is longer than a path can be.
    """
    if len(value) > MAX_PATH:
        raise TarError(offset, "a name is longer than any path can be")
    return value or None


def sparse_map(numbers: list[int], size: int | None, offset: int) -> list[tuple[int, int]]:
    """Pairs of offset and length of the pieces that hold data, verified.

    Raises TarError if the pieces overlap, are out of order or exceed the file's size.
    """
    if len(numbers) % 2:
        raise TarError(offset, "the sparse map has an odd number of entries")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    reached = 0
    for start, length in pairs:
        if start < reached or length < 0:
            raise TarError(offset, "the sparse map goes backwards")
        reached = start + length
    if size is not None and reached > size:
        raise TarError(offset, "the sparse map reaches beyond the file's size")
    return pairs


def parse_map_in_data(
    data: bytes, size: int | None, offset: int
) -> tuple[list[tuple[int, int]], int] | None:
    """Parses the map of GNU sparse format 1.0, which precedes the file's data in whole blocks.

    `offset` is where the data begins, for errors.

    Returns the map and its size before the content; None if it extends beyond the available
    bytes.
    """
    numbers: list[int] = []
    wanted = 1
    position = 0
    while len(numbers) < wanted:
        newline = data.find(b"\n", position)
        if newline < 0:
            return None
        numbers.append(_integer(data[position:newline], "sparse map", offset))
        wanted = 1 + 2 * numbers[0]
        if wanted > MAX_EXTENDED:
            raise TarError(offset, "the sparse map is too long")
        position = newline + 1
    return sparse_map(numbers[1:], size, offset), -(-position // BLOCK) * BLOCK


def sparse_map_in_header(block: bytes, slots: int, start: int, offset: int) -> list[int]:
    """The offset and length pairs of an old GNU sparse header, or of its extension block."""
    numbers: list[int] = []
    for slot in range(slots):
        at = start + 24 * slot
        if not block[at]:
            break
        pair = (block[at : at + 12], block[at + 12 : at + 24])
        numbers += [parse_number(piece, "the sparse map", offset) for piece in pair]
    return numbers


def _number(text: bytes) -> int | None:
    """A decimal number of 64 bits, or None; a sign and leading zeros are allowed."""
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    if not digits.isdigit() or len(digits.lstrip(b"0")) > 19:
        return None
    number = int(digits.lstrip(b"0") or b"0") * (-1 if text[:1] == b"-" else 1)
    return number if -MAX_NUMBER - 1 <= number <= MAX_NUMBER else None


def _integer(value: bytes, what: str, offset: int) -> int:
    number = _number(value)
    if number is None:
        raise TarError(offset, f"the {what} is not a number")
    return number


def _seconds(value: bytes, what: str, offset: int) -> int:
    """Whole seconds of a pax time such as -1.25, rounded down like the kernel's tv_sec."""
    whole, _, fraction = value.partition(b".")
    seconds = _number(whole)
    if seconds is None or (fraction and not fraction.isdigit()):
        raise TarError(offset, f"the pax {what} is not a time")
    # Digits beyond nanoseconds do not count.
    return seconds - (whole.startswith(b"-") and bool(fraction[:9].strip(b"0")))
