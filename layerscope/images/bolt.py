"""Reads a bolt database, which is where containerd keeps names: a B+tree of pages in one file.

The format is that of go.etcd.io/bbolt (internal/common/page.go, meta.go, bucket.go). Nothing is
written and no lock is taken: a writer never touches pages of the last state that it has committed,
so that a reader who follows its root sees one state of the database. Every number in the file may
be a lie, and none is believed that leads out of the file or round in a circle.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = 0xED0CDAED
_VERSION = 2
_HEADER = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQQ")
_BRANCH = struct.Struct("<IIQ")
_LEAF = struct.Struct("<IIII")
_BUCKET = struct.Struct("<QQ")
_IS_BRANCH, _IS_LEAF, _IS_META = 0x01, 0x02, 0x04
_LEAF_BUCKET = 0x01

_PAGE_SIZES = (4096, 16384, 65536, 8192, 32768, 2048, 1024)
#: Pages on the way from a root to a leaf. Even with two keys a page that is more than fits a disk.
_DEEPEST = 64
#: Keys and values longer than this are not looked at: bolt itself has 32 KiB for keys.
_LONGEST = 64 << 20
#: Pages that one walk through a bucket may read.
_MOST_PAGES = 1 << 20


class BoltError(ValueError):
    """A file that is no bolt database, or a damaged one; the message says why."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket: keys with values, or with buckets again.

    Attributes:
        database: Where it is.
        root: Its page, or 0 for one that lies within its parent's page.
        inline: That page's bytes, if so.
    """

    database: Database
    root: int
    inline: bytes

    def items(self) -> Iterator[tuple[bytes, bytes | Bucket]]:
        """The keys in order, each with its value or bucket.

        Raises:
            BoltError: The database is damaged.
        """
        for key, value, is_bucket in self._entries(None):
            yield key, self.database.bucket(value) if is_bucket else value

    def get(self, key: bytes) -> bytes | Bucket | None:
        """The value or bucket of a key.

        Raises:
            BoltError: The database is damaged.
        """
        for found, value, is_bucket in self._entries(key):
            if found == key:
                return self.database.bucket(value) if is_bucket else value
        return None

    def value(self, key: bytes) -> bytes:
        """The value of a key; empty if it has none."""
        found = self.get(key)
        return found if isinstance(found, bytes) else b""

    def bucket(self, *keys: bytes) -> Bucket | None:
        """The bucket that keys lead to, one within the other."""
        found: Bucket = self
        for key in keys:
            inner = found.get(key)
            if not isinstance(inner, Bucket):
                return None
            found = inner
        return found

    def _entries(self, wanted: bytes | None) -> Iterator[tuple[bytes, bytes, bool]]:
        if not self.root:
            yield from _leaf(self.inline)
            return
        budget = _MOST_PAGES
        stack = [(self.root, 0)]
        while stack:
            number, depth = stack.pop()
            budget -= 1
            if depth > _DEEPEST or budget < 0:
                raise BoltError("its pages lead round in a circle")
            page = self.database.page(number)
            if _flags(page) & _IS_LEAF:
                yield from _leaf(page)
            elif _flags(page) & _IS_BRANCH:
                children = _branch(page)
                if wanted is not None:
                    # The child that begins at or before the key.
                    below = [child for key, child in children if key <= wanted]
                    children = [(b"", below[-1])] if below else children[:1]
                stack += [(child, depth + 1) for _, child in reversed(children)]
            else:
                raise BoltError(f"page {number} is neither branch nor leaf")


class Database:
    """A bolt database in an open file."""

    def __init__(self, fd: int) -> None:
        """Reads the file's head.

        Args:
            fd: The file; stays open, and must for as long as the database is used.

        Raises:
            BoltError: It is no bolt database.
        """
        self._fd = fd
        self._size = os.fstat(fd).st_size
        metas = list(self._metas())
        if not metas:
            raise BoltError("it is no bolt database")
        _, self._page_size, self._root = max(metas)

    @property
    def root(self) -> Bucket:
        """The bucket that holds all others."""
        return Bucket(self, self._root, b"")

    def page(self, number: int) -> bytes:
        """A page with those that belong to it.

        Raises:
            BoltError: It is not in the file.
        """
        offset = number * self._page_size
        if number < 2 or offset + self._page_size > self._size:
            raise BoltError(f"page {number} is not in the file")
        page = os.pread(self._fd, self._page_size, offset)
        if len(page) < self._page_size:
            raise BoltError(f"page {number} is not in the file")
        identity, _, _, overflow = _HEADER.unpack_from(page)
        if identity != number:
            raise BoltError(f"page {number} says that it is page {identity}")
        length = (overflow + 1) * self._page_size
        if length > _LONGEST or offset + length > self._size:
            raise BoltError(f"page {number} is longer than the file")
        return os.pread(self._fd, length, offset) if overflow else page

    def bucket(self, value: bytes) -> Bucket:
        """The bucket that a leaf's value describes.

        Raises:
            BoltError: It is none.
        """
        if len(value) < _BUCKET.size:
            raise BoltError("a bucket is too short")
        root, _ = _BUCKET.unpack_from(value)
        return Bucket(self, root, b"" if root else value[_BUCKET.size :])

    def _metas(self) -> Iterator[tuple[int, int, int]]:
        """Transaction, page size and root page of each of the two heads that is whole."""
        for number in range(2):
            for page_size in _PAGE_SIZES:
                page = os.pread(self._fd, _HEADER.size + _META.size, number * page_size)
                if len(page) < _HEADER.size + _META.size:
                    continue
                fields = _META.unpack_from(page, _HEADER.size)
                magic, version, size, _, root, _, _, _, transaction, checksum = fields
                body = page[_HEADER.size : _HEADER.size + _META.size - 8]
                if (
                    (magic, version) == (_MAGIC, _VERSION)
                    and size in _PAGE_SIZES
                    and (number == 0 or size == page_size)
                    and checksum == _fnv(body)
                ):
                    yield transaction, size, root
                    break


def _fnv(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def _flags(page: bytes) -> int:
    flags: int = _HEADER.unpack_from(page)[1]
    return flags


def _count(page: bytes, element: struct.Struct) -> int:
    count: int = _HEADER.unpack_from(page)[2]
    if _HEADER.size + count * element.size > len(page):
        raise BoltError("a page holds fewer keys than it says")
    return count


def _piece(page: bytes, start: int, length: int) -> bytes:
    if start + length > len(page):
        raise BoltError("a key or value reaches over the end of its page")
    return page[start : start + length]


def _branch(page: bytes) -> list[tuple[bytes, int]]:
    """The first keys and numbers of the pages below."""
    children = []
    for index in range(_count(page, _BRANCH)):
        at = _HEADER.size + index * _BRANCH.size
        position, key_size, number = _BRANCH.unpack_from(page, at)
        children.append((_piece(page, at + position, key_size), number))
    return children


def _leaf(page: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Keys, values, and whether these are buckets."""
    if len(page) < _HEADER.size or not _flags(page) & _IS_LEAF:
        raise BoltError("a page that should be a leaf is none")
    for index in range(_count(page, _LEAF)):
        at = _HEADER.size + index * _LEAF.size
        flags, position, key_size, value_size = _LEAF.unpack_from(page, at)
        start = at + position
        key = _piece(page, start, key_size)
        value = _piece(page, start + key_size, value_size)
        yield key, value, bool(flags & _LEAF_BUCKET)


def uvarint(data: bytes) -> int:
    """A number as Go's encoding/binary writes it with PutUvarint; 0 if it is none."""
    value = 0
    for place, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value
    return 0
