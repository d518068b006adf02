"""What tar headers say about the header that follows: pax records, GNU long names, sparse maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from layerscope.oci.tar_header import BLOCK, MAX_NUMBER, TarError, parse_number

#: More than this in one extended header is an attack, not a name; Go, and so every engine, has the
#: same limit.
MAX_EXTENDED = 1 << 20

#: Linux has no longer path or link target (PATH_MAX), so nothing can unpack one.
MAX_PATH = 4096

#: What extended headers of one archive may add up to, beyond names, before it is an attack.
MAX_KEPT = 512 << 20

#: The prefix that Go, and so every engine, writes and reads. libarchive's own is read by none.
_XATTR_PREFIX = b"SCHILY.xattr."


@dataclass(slots=True)
class Override:
    """Fields of a header that an extended header replaces; None where it says nothing."""

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
        """About how many bytes of memory xattrs and sparse maps take, beyond what is usual."""
        xattrs = sum(len(key) + len(value) + 100 for key, value in self.xattrs.items())
        return max(0, xattrs - 100) + 100 * len(self.sparse or ())


def parse_pax(data: bytes, offset: int) -> dict[bytes, bytes]:
    r"""Splits pax records, `"%d %s=%s\n"` each, into keys and values.

    GNU sparse format 0.0 repeats `GNU.sparse.offset` and `GNU.sparse.numbytes`; those are
    collected into one `GNU.sparse.map`, as format 0.1 writes it.

    Args:
        data: The content of an extended header.
        offset: Where that content begins in the archive, for errors.

    Raises:
        TarError: A record's length does not fit, or it has no key.
    """
    records: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        if not digits.isdigit():
            if not data[position:].strip(b"\0"):
                break
            raise TarError(offset + position, "a pax record has no length")
        end = position + int(digits)
        if end > len(data) or end <= space + 1 or data[end - 1] != 0x0A:
            raise TarError(offset + position, "a pax record has a wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise TarError(offset + position, "a pax record has no key")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            pieces.append(value)
        else:
            records[key] = value
        position = end
    if pieces:
        records[b"GNU.sparse.map"] = b",".join(pieces)
    return records


def apply_pax(override: Override, records: Mapping[bytes, bytes], offset: int) -> None:
    """Writes what pax records say into an override.

    Names with a NUL inside are refused, as no kernel could hold them. An empty value means that
    the header's own field counts (POSIX.1-2001, pax "Extended Header Keywords").

    Raises:
        TarError: A value is not what its keyword needs.
    """
    for key, value in records.items():
        if key in (b"path", b"linkpath"):
            if b"\0" in value:
                raise TarError(offset, f"the pax {key.decode()} holds a NUL")
            if key == b"path":
                override.path = checked_path(value, offset)
            else:
                override.link = checked_path(value, offset)
        elif key == b"size":
            override.size = override.stored_size = _decimal(value, "size", offset)
        elif key == b"uid":
            override.uid = _decimal(value, "uid", offset)
        elif key == b"gid":
            override.gid = _decimal(value, "gid", offset)
        elif key == b"mtime":
            override.mtime = _seconds(value, offset)
        elif key.startswith(_XATTR_PREFIX):
            override.xattrs[key[len(_XATTR_PREFIX) :]] = value
    _apply_sparse(override, records, offset)


def _apply_sparse(override: Override, records: Mapping[bytes, bytes], offset: int) -> None:
    """The GNU sparse formats 0.0 and 0.1, and the names of 1.0 (whose map is in the data)."""
    name = records.get(b"GNU.sparse.name")
    if name:
        if b"\0" in name:
            raise TarError(offset, "the sparse name holds a NUL")
        override.path = checked_path(name, offset)
    real = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size")
    if real is not None:
        override.size = _decimal(real, "sparse size", offset)
        override.map_in_data = records.get(b"GNU.sparse.major") == b"1"
    text = records.get(b"GNU.sparse.map")
    if text is not None:
        numbers = [_decimal(n, "sparse map", offset) for n in text.split(b",") if n]
        override.sparse = sparse_map(numbers, override.size, offset)


def checked_path(value: bytes, offset: int) -> bytes | None:
    """A path or link target from an extended header; None if it is empty, which says nothing.

    Raises:
        TarError: It is longer than any path can be.
    """
    if len(value) > MAX_PATH:
        raise TarError(offset, "a name is longer than any path can be")
    return value or None


def sparse_map(numbers: list[int], size: int | None, offset: int) -> list[tuple[int, int]]:
    """Pairs of offset and length of the pieces that hold data, checked for sense.

    Raises:
        TarError: The pieces overlap, go backwards or reach beyond the file's size.
    """
    if len(numbers) % 2:
        raise TarError(offset, "the sparse map has an odd number of entries")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    reached = 0
    for start, length in pairs:
        if start < reached:
            raise TarError(offset, "the sparse map goes backwards")
        reached = start + length
    if size is not None and reached > size:
        raise TarError(offset, "the sparse map reaches beyond the file's size")
    return pairs


def parse_map_in_data(
    data: bytes, size: int | None, offset: int
) -> tuple[list[tuple[int, int]], int] | None:
    """Reads the map of GNU sparse format 1.0, which precedes the file's data in whole blocks.

    Args:
        data: The first bytes of the entry's data.
        size: The file's real size.
        offset: Where the data begins, for errors.

    Returns:
        The map, and how many bytes it takes before the content; None if it goes on beyond the
        bytes that are there.
    """
    numbers: list[int] = []
    wanted = 1
    position = 0
    while len(numbers) < wanted:
        newline = data.find(b"\n", position)
        if newline < 0:
            return None
        numbers.append(_decimal(data[position:newline], "sparse map", offset))
        wanted = 1 + 2 * numbers[0]
        if wanted > MAX_EXTENDED:
            raise TarError(offset, "the sparse map is too long")
        position = newline + 1
    return sparse_map(numbers[1:], size, offset), -(-position // BLOCK) * BLOCK


def sparse_map_in_header(block: bytes, slots: int, start: int, offset: int) -> list[int]:
    """The offset and length pairs of an old GNU sparse header, or of an extension block of it."""
    numbers: list[int] = []
    for slot in range(slots):
        at = start + 24 * slot
        if not block[at : at + 24].strip(b"\0 "):
            break
        for piece in (block[at : at + 12], block[at + 12 : at + 24]):
            number = parse_number(piece, "the sparse map", offset)
            if number < 0:
                raise TarError(offset, "the sparse map is negative")
            numbers.append(number)
    return numbers


def _decimal(value: bytes, what: str, offset: int) -> int:
    digits = value.strip()
    if digits.startswith(b"-"):
        raise TarError(offset, f"the pax {what} is negative")
    if not digits.isdigit() or len(digits) > 19 or int(digits) > MAX_NUMBER:
        raise TarError(offset, f"the pax {what} is not a number")
    return int(digits)


def _seconds(value: bytes, offset: int) -> int:
    """Whole seconds, rounded down as the kernel's tv_sec is, of a pax time such as -1.25."""
    text = value.strip()
    negative = text.startswith(b"-")
    whole, _, fraction = text[negative:].partition(b".")
    if not (whole + fraction).isdigit() or len(whole) > 18:
        raise TarError(offset, "the pax mtime is not a time")
    seconds = int(whole or b"0")
    if not negative:
        return seconds
    return -seconds - (1 if fraction.strip(b"0") else 0)
