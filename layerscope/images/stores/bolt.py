"""Reads a bolt database, where containerd stores names: a B+tree of pages in one file.

The format is that of go.etcd.io/bbolt (internal/common/page.go, meta.go, bucket.go). Nothing is
written, and no lock is needed: a writer never touches pages of the last committed state, so that a
reader who starts at its root sees one state of the database. No number in the file is trusted: none
may point outside the file or create a cycle.
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
#: The most pages between a root and a leaf. Even with two keys a page, more would not fit on disk.
_DEEPEST = 64
#: Longer keys and values are errors; bolt itself limits keys to 32 KiB.
_LONGEST = 64 << 20
#: The most pages to read in one walk through a bucket.
_MOST_PAGES = 1 << 20


class BoltError(ValueError):
    """A file is not a bolt database or is damaged; the message explains why."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket: keys with values or nested buckets."""

    database: Database
    root: int  # Its page, or 0 if it is inside its parent's page.
    inline: bytes  # Its bytes in that page.

    def items(self) -> Iterator[tuple[bytes, bytes | Bucket]]:
        """The keys in order, each with its value or bucket; raises BoltError."""
        for key, value, is_bucket in self._entries(None):
            yield key, self.database.bucket(value) if is_bucket else value

    def get(self, key: bytes) -> bytes | Bucket | None:
        for found, value, is_bucket in self._entries(key):
            if found == key:
                return self.database.bucket(value) if is_bucket else value
        return None

    def value(self, key: bytes) -> bytes:
        found = self.get(key)
        return found if isinstance(found, bytes) else b""

    def bucket(self, *keys: bytes) -> Bucket | None:
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
                raise BoltError("its pages lead in a circle")
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
                raise BoltError(f"page {number} is neither a branch nor a leaf")


class Database:
    """A bolt database in an open file."""

    def __init__(self, fd: int) -> None:
        """Reads the file's header. The file must stay open while the database is used.

        Raises BoltError if it is not a bolt database.
        """
        self._fd = fd
        self._size = os.fstat(fd).st_size
        metas = list(self._metas())
        if not metas:
            raise BoltError("it is not a bolt database")
        _, self._page_size, self._root = max(metas)

    @property
    def root(self) -> Bucket:
        return Bucket(self, self._root, b"")

    def page(self, number: int) -> bytes:
        offset = number * self._page_size
        if number < 2 or offset + self._page_size > self._size:
            raise BoltError(f"page {number} is not in the file")
        page = os.pread(self._fd, self._page_size, offset)
        if len(page) < self._page_size:
            raise BoltError(f"page {number} is not in the file")
        identity, _, _, overflow = _HEADER.unpack_from(page)
        if identity != number:
            raise BoltError(f"page {number} claims to be page {identity}")
        length = (overflow + 1) * self._page_size
        if length > _LONGEST or offset + length > self._size:
            raise BoltError(f"page {number} is longer than the file")
        return os.pread(self._fd, length, offset) if overflow else page

    def bucket(self, value: bytes) -> Bucket:
        if len(value) < _BUCKET.size:
            raise BoltError("a bucket is too short")
        root, _ = _BUCKET.unpack_from(value)
        return Bucket(self, root, b"" if root else value[_BUCKET.size :])

    def _metas(self) -> Iterator[tuple[int, int, int]]:
        """Transaction, page size and root page of each intact meta page; there are two."""
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
        raise BoltError("a page holds fewer keys than it claims")
    return count


def _piece(page: bytes, start: int, length: int) -> bytes:
    if start + length > len(page):
        raise BoltError("a key or value exceeds its page")
    return page[start : start + length]


def _branch(page: bytes) -> list[tuple[bytes, int]]:
    children = []
    for index in range(_count(page, _BRANCH)):
        at = _HEADER.size + index * _BRANCH.size
        position, key_size, number = _BRANCH.unpack_from(page, at)
        children.append((_piece(page, at + position, key_size), number))
    return children


def _leaf(page: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    if len(page) < _HEADER.size or not _flags(page) & _IS_LEAF:
        raise BoltError("a page that should be a leaf is not one")
    for index in range(_count(page, _LEAF)):
        at = _HEADER.size + index * _LEAF.size
        flags, position, key_size, value_size = _LEAF.unpack_from(page, at)
        start = at + position
        key = _piece(page, start, key_size)
        value = _piece(page, start + key_size, value_size)
        yield key, value, bool(flags & _LEAF_BUCKET)


def uvarint(data: bytes) -> int:
    """Decodes a number written by PutUvarint of Go's encoding/binary; 0 if it is invalid."""
    value = 0
    for place, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value
    return 0
