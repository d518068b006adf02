"""Compressed layers and archives: whole, of several parts, cut, and with garbage behind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from layerscope.oci.compression import CompressionError, compression_of, decompressed

RANDOM = random.Random(5).randbytes(200_000)
PARTS = [b"hello " * 1000, RANDOM, b"", b"end"]

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def unpack(kind: str, data: bytes, piece: int = 1 << 20, size: int = 1 << 20) -> bytes:
    file = io.BytesIO(data)
    read = decompressed(kind, lambda wanted: file.read(min(wanted, piece)))
    result = []
    while got := read(size):
        assert len(got) <= size
        result.append(got)
    assert read(size) == b""
    return b"".join(result)


@pytest.mark.parametrize("kind", PACK)
def test_the_kind_is_told_by_the_first_bytes(kind: str) -> None:
    assert compression_of(PACK[kind](b"x")[:6]) == kind


@pytest.mark.parametrize("start", [b"", b"\x1f", b"\xfd7zXZ", b"ustar", b"{", b"BZhx1A"])
def test_anything_else_is_not_compressed(start: bytes) -> None:
    assert compression_of(start) is None


def test_a_skippable_zstd_frame_is_zstd() -> None:
    data = b"\x50\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"skipped" + PACK["zstd"](b"x")
    assert compression_of(data[:6]) == "zstd"
    assert unpack("zstd", data) == b"x"


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("piece", [1, 13, 4096, 1 << 20])
def test_members_behind_each_other_are_one_stream(kind: str, piece: int) -> None:
    parts = [PARTS[0], PARTS[1][:2000], *PARTS[2:]] if piece < 100 else PARTS
    data = b"".join(PACK[kind](part) for part in parts)
    assert unpack(kind, data, piece) == b"".join(parts)


@pytest.mark.parametrize("kind", PACK)
def test_a_border_between_members_may_lie_anywhere_in_what_is_read(kind: str) -> None:
    first = PACK[kind](b"first")
    for piece in range(max(1, len(first) - 8), len(first) + 8):
        assert unpack(kind, first + PACK[kind](b"second"), piece) == b"firstsecond"


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("size", [1, 100, 512])
def test_no_more_is_given_than_was_asked_for(kind: str, size: int) -> None:
    assert unpack(kind, PACK[kind](PARTS[0]), size=size) == PARTS[0]


@pytest.mark.parametrize("kind", PACK)
def test_a_stream_cut_anywhere_ends_too_early(kind: str) -> None:
    data = PACK[kind](b"text " * 50 + RANDOM[:300])
    for cut in [*range(1, 40), *range(40, len(data), 7), *range(len(data) - 20, len(data))]:
        with pytest.raises(CompressionError):
            unpack(kind, data[:cut])


def test_a_long_zstd_stream_cut_between_its_blocks_ends_too_early() -> None:
    data = PACK["zstd"](RANDOM * 5)
    for cut in range(0, len(data) - 1, 9973):
        with pytest.raises(CompressionError, match="ends too early"):
            unpack("zstd", data[: cut + 1])


@pytest.mark.parametrize("level", [-5, 1, 3, 19])
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("sized", [False, True])
def test_every_form_of_zstd_frame_ends_where_it_does(
    level: int, checksum: bool, sized: bool
) -> None:
    for content in (b"", b"a", bytes(300_000), RANDOM, b"ab" * 100_000):
        packer = zstandard.ZstdCompressor(
            level=level, write_checksum=checksum, write_content_size=sized
        )
        data = packer.compress(content)
        assert unpack("zstd", data + data, 777) == content + content
        with pytest.raises(CompressionError):
            unpack("zstd", data + data[:-1], 777)


@pytest.mark.parametrize("kind", PACK)
def test_garbage_behind_a_stream_is_refused(kind: str) -> None:
    with pytest.raises(CompressionError):
        unpack(kind, PACK[kind](b"x") + b"garbage!")


@pytest.mark.parametrize("kind", ["gzip", "xz"])
@pytest.mark.parametrize("piece", [1, 3, 4096])
def test_zeros_behind_a_member_are_padding(kind: str, piece: int) -> None:
    packed = PACK[kind](b"x")
    assert unpack(kind, packed + bytes(5000), piece) == b"x"
    assert unpack(kind, packed + bytes(8) + packed, piece) == b"xx"


@pytest.mark.parametrize("kind", PACK)
def test_damage_is_told(kind: str) -> None:
    data = bytearray(PACK[kind](RANDOM[:5000]))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(CompressionError, match=kind):
        unpack(kind, bytes(data))


@pytest.mark.parametrize("kind", PACK)
def test_memory_stays_bounded_whatever_the_ratio(kind: str) -> None:
    data = PACK[kind](bytes(64 << 20))
    file = io.BytesIO(data)
    read = decompressed(kind, file.read)
    tracemalloc.start()
    total = 0
    while got := read(1 << 20):
        total += len(got)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 16 << 20


def test_errors_of_reading_pass_through() -> None:
    def read(size: int) -> bytes:
        raise OSError("gone")

    for kind in PACK:
        with pytest.raises(OSError, match="gone"):
            decompressed(kind, read)(10)
