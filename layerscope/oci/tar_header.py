"""One tar header block: its fields, its numbers and its checksum.

The formats are POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU tar (OCI image specification,
layer.md, "Distributable Format"). Functions here take one block, and serve `tar_columns` in
unusual cases.
"""

from __future__ import annotations

from layerscope.errors import SAVE_AGAIN

BLOCK = 512

# Offsets of the fields that the scanner and the decoder use.
NAME = slice(0, 100)
MODE = slice(100, 108)
UID = slice(108, 116)
GID = slice(116, 124)
SIZE = slice(124, 136)
MTIME = slice(136, 148)
CHECKSUM = slice(148, 156)
TYPEFLAG = 156
LINKNAME = slice(157, 257)
MAGIC = slice(257, 263)
MAGIC_VERSION = slice(257, 265)
DEVMAJOR = slice(329, 337)
DEVMINOR = slice(337, 345)
PREFIX = slice(345, 500)
GNU_SPARSE = slice(386, 482)
GNU_IS_EXTENDED = 482
GNU_REAL_SIZE = slice(483, 495)
GNU_ATIME, GNU_CTIME = slice(345, 357), slice(357, 369)
STAR_PREFIX, STAR_ATIME, STAR_CTIME = slice(345, 476), slice(476, 488), slice(488, 500)
STAR_TRAILER = slice(508, 512)

MAGIC_POSIX = b"ustar\0"
MAGIC_GNU = b"ustar  \0"  # With the version.
TRAILER_STAR = b"tar\0"

# Type flags. Pre-POSIX tars wrote NUL for a regular file.
FILE, FILE_V7, LINK, SYMLINK, CHAR, BLOCKDEV, DIR, FIFO, CONTIGUOUS = b"0\x001234567"
GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE_FILE = b"LKS"
PAX_NEXT, PAX_GLOBAL, PAX_SOLARIS = b"xgX"

#: Types that describe the next header or need more than their own block.
EXTENDED = frozenset(
    (GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE_FILE, PAX_NEXT, PAX_GLOBAL, PAX_SOLARIS)
)

#: No file system holds more, and larger numbers would overflow our columns.
MAX_NUMBER = (1 << 63) - 1


class TarError(ValueError):
    """Bytes that are not a tar archive, at an offset in that archive."""

    def __init__(self, offset: int, problem: str, hint: str = "") -> None:
        super().__init__(f"{problem} at byte {offset}")
        #: Byte offset of the invalid block, counted from the beginning of the tar stream.
        self.offset = offset
        self.problem = problem  # The problem, as the end of a sentence.
        self.hint = hint  # What to do about it; may be empty.


def bad_checksum(offset: int) -> TarError:
    return TarError(offset, "the header's checksum is wrong", SAVE_AGAIN)


def header_only(kind: int) -> bool:
    """Whether entries of a type have no content, whatever their size field contains."""
    return LINK <= kind <= FIFO


def parse_number(field: bytes, what: str, offset: int) -> int:
    """Parses a numeric field: octal digits, or GNU base-256 if its first bit is set.

    Octal digits may have NULs and spaces around them, and anything after a NUL.

    Returns the number; negative only in base-256. An empty field is 0, as in all tars. Raises
    TarError if the field holds neither.
    """
    if field and field[0] & 0x80:
        # The first byte is 0x80 for positive and 0xff for negative numbers; its other bits are
        # part of the number, as in GNU tar and Go.
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        if field[0] & 0x40:
            value -= 1 << bits
        else:
            value -= 1 << (bits - 1)
        if not -MAX_NUMBER - 1 <= value <= MAX_NUMBER:
            raise TarError(offset, f"{what} is out of range in the header")
        return value
    digits = field.strip(b" \0").split(b"\0", 1)[0]
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise TarError(offset, f"{what} is not a number in the header")
    return int(digits, 8)


def parse_size(block: bytes, offset: int, field: slice = SIZE) -> int:
    """Parses a size, which must not be negative if there is content; raises TarError."""
    size = parse_number(block[field], "the size", offset)
    if size < 0:
        if not header_only(block[TYPEFLAG]):
            raise TarError(offset, "the size is negative in the header")
        return 0
    return size


def has_devices(block: bytes) -> bool:
    """Whether a header's format has device numbers."""
    return block[MAGIC] == MAGIC_POSIX or block[MAGIC_VERSION] == MAGIC_GNU


def full_name(block: bytes, offset: int) -> bytes:
    return prefix(block, offset) + c_string(block[NAME])


def prefix(block: bytes, offset: int) -> bytes:
    """The prefix of the name, with a slash; empty without a prefix.

    Raises TarError if a field of the header's format is not a number.
    """
    found = b""
    if block[MAGIC] == MAGIC_POSIX:
        found = c_string(block[PREFIX])
        if block[STAR_TRAILER] == TRAILER_STAR:
            found = c_string(block[STAR_PREFIX])
            for field in (STAR_ATIME, STAR_CTIME):
                parse_number(block[field], "a time", offset)
    elif block[MAGIC_VERSION] == MAGIC_GNU:
        try:
            for field in (GNU_ATIME, GNU_CTIME):
                if block[field.start]:
                    parse_number(block[field], "a time", offset)
        except TarError:
            # Go before 1.8 wrote a prefix where GNU headers have times, and still reads it.
            text = c_string(block[PREFIX])
            found = text if text.isascii() else b""
    return found + b"/" if found else b""


def checksum_matches(block: bytes) -> bool:
    """Whether the checksum field holds the sum of the block's bytes, signed or unsigned.

    Old tars summed signed characters; both sums are accepted, as in POSIX readers.
    """
    stored = block[CHECKSUM].strip(b" \0").split(b"\0", 1)[0]
    if not stored or stored.strip(b"01234567"):
        return False
    wanted = int(stored, 8)
    blanked = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(blanked)
    return wanted == unsigned or wanted == unsigned - 256 * sum(b > 127 for b in blanked)


def c_string(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]
