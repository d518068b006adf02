"""The reader of bolt databases, on databases made page by page."""

from __future__ import annotations

import os
import random
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import BadInputError
from layerscope.images.stores.bolt import BoltError, Bucket, Database, uvarint
from layerscope.images.stores.containerd import ContainerdStore
from layerscope.images.stores.data_folder import DataFolder

PAGE = 4096
BRANCH, LEAF, META, FREELIST = 1, 2, 4, 16


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def header(number: int, flags: int, count: int, overflow: int = 0) -> bytes:
    return struct.pack("<QHHI", number, flags, count, overflow)


def meta(number: int, root: int, transaction: int, size: int = PAGE) -> bytes:
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, size, 0, root, 0, 2, 100, transaction)
    return (header(number, META, 0) + body + struct.pack("<Q", fnv(body))).ljust(size, b"\0")


def leaf(number: int, items: list[tuple[bytes, bytes, bool]], *, pad: bool = True) -> bytes:
    """A leaf page; the third of each item says whether the value is a bucket."""
    table, data = b"", b""
    for index, (key, value, is_bucket) in enumerate(items):
        position = 16 * (len(items) - index) + len(data)
        table += struct.pack("<IIII", is_bucket, position, len(key), len(value))
        data += key + value
    body = table + data
    overflow = (16 + len(body) - 1) // PAGE if pad else 0
    page = header(number, LEAF, len(items), overflow) + body
    return page.ljust((overflow + 1) * PAGE, b"\0") if pad else page


def branch(number: int, children: list[tuple[bytes, int]]) -> bytes:
    table, data = b"", b""
    for index, (key, child) in enumerate(children):
        position = 16 * (len(children) - index) + len(data)
        table += struct.pack("<IIQ", position, len(key), child)
        data += key
    return (header(number, BRANCH, len(children)) + table + data).ljust(PAGE, b"\0")


def inline(items: list[tuple[bytes, bytes, bool]]) -> bytes:
    return struct.pack("<QQ", 0, 0) + leaf(0, items, pad=False)


def at(root: int) -> bytes:
    return struct.pack("<QQ", root, 0)


def example() -> bytes:
    """A database with a bucket of its own pages, one within its parent's, and a long value."""
    numbers = [b"%04d" % number for number in range(200)]
    pages = [
        meta(0, 3, 6),
        meta(1, 99, 5),
        header(2, FREELIST, 0).ljust(PAGE, b"\0"),
        leaf(3, [(b"deep", at(4), True), (b"small", inline([(b"k", b"v", False)]), True)]),
        branch(4, [(numbers[0], 5), (numbers[100], 6)]),
        leaf(5, [(key, b"low", False) for key in numbers[:100]]),
        leaf(6, [(key, b"high", False) for key in numbers[100:]] + [(b"long", b"x" * 9000, False)]),
    ]
    return b"".join(pages)


@contextmanager
def database(data: bytes) -> Iterator[Database]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield Database(file.fileno())


def everything(bucket: Bucket, depth: int = 0) -> dict[bytes, Any]:
    assert depth < 20
    return {
        key: everything(value, depth + 1) if isinstance(value, Bucket) else value
        for key, value in bucket.items()
    }


def test_reads_buckets_of_all_kinds() -> None:
    with database(example()) as opened:
        found = everything(opened.root)
        assert found[b"small"] == {b"k": b"v"}
        deep: Mapping[bytes, bytes] = found[b"deep"]
        assert len(deep) == 201
        assert deep[b"0000"] == deep[b"0099"] == b"low"
        assert deep[b"0100"] == deep[b"0199"] == b"high"
        assert deep[b"long"] == b"x" * 9000


def test_finds_keys() -> None:
    with database(example()) as opened:
        deep = opened.root.bucket(b"deep")
        assert deep is not None
        assert [deep.value(key) for key in (b"0000", b"0099", b"0100", b"0199")] == [
            *(b"low", b"low", b"high", b"high")
        ]
        assert deep.get(b"0050x") is None
        assert deep.get(b"") is None
        assert deep.get(b"zzz") is None
        assert opened.root.bucket(b"small", b"k") is None
        assert opened.root.bucket(b"small", b"nothing", b"k") is None


def test_takes_the_last_state_that_is_whole() -> None:
    data = bytearray(example())
    data[PAGE : 2 * PAGE] = meta(1, 5, 7)
    with database(bytes(data)) as opened:
        assert opened.root.value(b"0000") == b"low"
    data[PAGE + 60] ^= 1  # a write that was cut off
    with database(bytes(data)) as opened:
        assert opened.root.bucket(b"deep") is not None
    data[20] ^= 1
    with pytest.raises(BoltError, match="not a bolt database"), database(bytes(data)):
        pass


def test_other_page_sizes() -> None:
    size = 16384
    pages = [meta(0, 2, 1, size), meta(1, 2, 2, size), leaf(2, [(b"k", b"v", False)])]
    data = b"".join(page.ljust(size, b"\0") for page in pages)
    with database(data) as opened:
        assert everything(opened.root) == {b"k": b"v"}
    with database(bytes(size) + data[size:]) as opened:  # the first head is lost
        assert everything(opened.root) == {b"k": b"v"}


@pytest.mark.parametrize("length", [0, 10, 100, PAGE, 2 * PAGE, 3 * PAGE, 5 * PAGE, 6 * PAGE + 9])
def test_truncated(length: int) -> None:
    with pytest.raises(BoltError), database(example()[:length]) as opened:
        everything(opened.root)


def test_a_circle_ends() -> None:
    data = bytearray(example())
    data[4 * PAGE : 5 * PAGE] = branch(4, [(b"0000", 4)])
    with database(bytes(data)) as opened:
        deep = opened.root.bucket(b"deep")
        assert deep is not None
        with pytest.raises(BoltError, match="circle"):
            deep.get(b"0001")
        with pytest.raises(BoltError, match="circle"):
            list(deep.items())
    data[4 * PAGE : 5 * PAGE] = branch(4, [(b"%04d" % n, 4) for n in range(150)])
    with database(bytes(data)) as opened:
        deep = opened.root.bucket(b"deep")
        assert deep is not None
        with pytest.raises(BoltError, match="circle"):
            list(deep.items())


def test_numbers_that_lie() -> None:
    def broken(offset: int, value: bytes) -> None:
        data = bytearray(example())
        data[offset : offset + len(value)] = value
        with pytest.raises(BoltError), database(bytes(data)) as opened:
            everything(opened.root)

    broken(3 * PAGE + 10, b"\xff\xff")  # count
    broken(3 * PAGE + 12, b"\xff\xff\xff\xff")  # overflow
    broken(3 * PAGE, b"\x04")  # its own number
    broken(3 * PAGE + 8, b"\x10")  # its kind
    broken(3 * PAGE + 16 + 4, b"\xff\xff\xff\xff")  # position
    broken(3 * PAGE + 16 + 12, b"\xff\xff\xff\xff")  # length of a value
    broken(4 * PAGE + 16 + 8, b"\xff" * 8)  # a child


def test_random_damage_ends_in_one_kind_of_error() -> None:
    chance = random.Random(7)
    whole = example()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            # The heads have a checksum; what they lead to has none.
            place = 3 * PAGE + chance.randrange(len(data) - 3 * PAGE)
            page_start = place // PAGE * PAGE
            if chance.random() < 0.7:
                place = page_start + chance.randrange(80)
            data[place] = chance.randrange(256)
        try:
            with database(bytes(data)) as opened:
                for key, value in opened.root.items():
                    if isinstance(value, Bucket):
                        value.get(key)
                        for _ in value.items():
                            pass
        except BoltError:
            pass


def test_no_bolt_database() -> None:
    for data in (b"", b"SQLite format 3\0" * 1000, os.urandom(40_000)):
        with pytest.raises(BoltError, match="not a bolt database"), database(data):
            pass


def test_uvarint() -> None:
    assert uvarint(b"") == 0
    assert uvarint(b"\x7f") == 127
    assert uvarint(b"\x80\x01") == 128
    assert uvarint(b"\xff" * 20) == 0


def snapshotter(folder: Path, parents: dict[bytes, bytes]) -> ContainerdStore:
    """A data folder of containerd with snapshots, numbered from 1, and what each lies on."""
    snapshots = [
        (key, inline([(b"id", bytes([number]), False), (b"parent", parent, False)]), True)
        for number, (key, parent) in enumerate(parents.items(), 1)
    ]
    root = leaf(3, [(b"v1", inline([(b"snapshots", inline(snapshots), True)]), True)])
    place = folder / "io.containerd.snapshotter.v1.overlayfs"
    place.mkdir()
    free = header(2, FREELIST, 0).ljust(PAGE, b"\0")
    (place / "metadata.db").write_bytes(meta(0, 3, 6) + meta(1, 3, 5) + free + root)
    return ContainerdStore(DataFolder(folder))


def test_what_a_container_lies_on(tmp_path: Path) -> None:
    found = {b"moby/1/sha256:a": b"", b"moby/2/c-init": b"moby/1/sha256:a"}
    store = snapshotter(tmp_path, {**found, b"moby/3/c": b"moby/2/c-init"})
    below = "io.containerd.snapshotter.v1.overlayfs/snapshots"
    assert store.snapshots("c") == [
        ("c", f"{below}/3/fs"),
        ("c-init", f"{below}/2/fs"),
        ("sha256:a", f"{below}/1/fs"),
    ]
    assert store.snapshots("d") == []
    store.close()


@pytest.mark.parametrize("parent", [b"moby/1/c", b"moby/9/\x1b[31mgone"])
def test_a_snapshot_on_itself_or_on_nothing(tmp_path: Path, parent: bytes) -> None:
    store = snapshotter(tmp_path, {b"moby/1/c": parent})
    with pytest.raises(BadInputError, match="is damaged") as caught:
        store.snapshots("c")
    assert "\x1b" not in str(caught.value)
    store.close()
