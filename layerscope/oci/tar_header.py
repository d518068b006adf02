"""One tar header block: its fields, its numbers and its checksum.

The formats are those of POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU tar, as the OCI image
specification (layer.md, "Distributable Format") has them read. Everything here works on one block
and is only called where the column decoder of `tar_columns` meets something out of the ordinary.
"""

from __future__ import annotations

from layerscope.errors import SAVE_AGAIN

BLOCK = 512

# Offsets of the fields that the scanner and the decoder look at.
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
DEVMAJOR = slice(329, 337)
DEVMINOR = slice(337, 345)
PREFIX = slice(345, 500)
GNU_SPARSE = slice(386, 482)
GNU_IS_EXTENDED = 482
GNU_REAL_SIZE = slice(483, 495)

MAGIC_POSIX = b"ustar\0"
MAGIC_GNU = b"ustar "

# Type flags. A NUL is what pre-POSIX tars wrote for a regular file.
FILE, FILE_V7, LINK, SYMLINK, CHAR, BLOCKDEV, DIR, FIFO, CONTIGUOUS = b"0\x001234567"
GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE_FILE = b"LKS"
PAX_NEXT, PAX_GLOBAL, PAX_SOLARIS = b"xgX"

#: Types that say something about the header that follows, or need more than their own block.
EXTENDED = frozenset(
    (GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE_FILE, PAX_NEXT, PAX_GLOBAL, PAX_SOLARIS)
)

#: Sizes and offsets beyond this cannot be held in a file system and would overflow our columns.
MAX_NUMBER = (1 << 63) - 1


class TarError(ValueError):
    """Bytes that are not a tar archive, at an offset in that archive.

    Attributes:
        offset: Byte offset of the block at fault, counted from the beginning of the tar stream.
        problem: What is wrong with it, as the end of a sentence.
        hint: What to do about it; may be empty.
    """

    def __init__(self, offset: int, problem: str, hint: str = "") -> None:
        super().__init__(f"{problem} at byte {offset}")
        self.offset = offset
        self.problem = problem
        self.hint = hint


def bad_checksum(offset: int) -> TarError:
    """The error for a header that is none: something else has been written over it."""
    return TarError(offset, "the header's checksum is wrong", SAVE_AGAIN)


def parse_number(field: bytes, what: str, offset: int) -> int:
    """Reads a numeric field: octal digits, or GNU base-256 if its first bit is set.

    Args:
        field: The bytes of the field.
        what: Name of the field, for the error.
        offset: Offset of the header in the archive, for the error.

    Returns:
        The number; negative only in base-256. An empty field is 0, as all tars read it.

    Raises:
        TarError: The field holds neither.
    """
    if field and field[0] & 0x80:
        # The first byte is 0x80 for positive and 0xff for negative numbers; the other bits of
        # the first byte take part in the number as GNU tar and Go read it.
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        if field[0] & 0x40:
            value -= 1 << bits
        else:
            value -= 1 << (bits - 1)
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise TarError(offset, f"{what} is out of range in the header")
        return value
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise TarError(offset, f"{what} is not a number in the header")
    return int(digits, 8)


def parse_size(field: bytes, offset: int) -> int:
    """Reads a size, which must not be negative.

    Raises:
        TarError: It is negative or not a number.
    """
    size = parse_number(field, "the size", offset)
    if size < 0:
        raise TarError(offset, "the size is negative in the header")
    return size


def checksum_matches(block: bytes) -> bool:
    """True if the checksum field holds the sum of the block's bytes, signed or unsigned.

    Old tars summed signed characters; both sums are accepted, as POSIX readers do.
    """
    stored = block[CHECKSUM].split(b"\0", 1)[0].strip(b" ")
    if not stored or stored.strip(b"01234567"):
        return False
    wanted = int(stored, 8)
    blanked = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(blanked)
    return wanted == unsigned or wanted == unsigned - 256 * sum(b > 127 for b in blanked)


def c_string(field: bytes) -> bytes:
    """The bytes of a field up to its first NUL."""
    return field.split(b"\0", 1)[0]
