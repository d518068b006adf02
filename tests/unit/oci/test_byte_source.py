"""Byte sources: the same bytes, from a file that can seek, a stream, and a part of either."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.oci.byte_source import ByteSource, Stream, TruncatedError, reader_of
from tests.archives import seekable, streamed

DATA = bytes(range(256)) * 40

Check = Callable[[ByteSource], None]


def everywhere(data: bytes, check: Check) -> None:
    """Runs a check on each kind of source that holds the same bytes."""
    with seekable(data) as file:
        check(file)
        check(file.part(0, len(data)))
    with seekable(b"ab" + data + b"c") as file:
        check(file.part(2, len(data)))
    for piece in (1 << 20, 600, 7):
        check(streamed(data, piece))
    check(streamed(b"ab" + data + b"c" * 9, 100).part(2, len(data)))
    check(streamed(b"abc" + data + b"c" * 9, 100).part(1, len(data) + 3).part(2, len(data)))


def test_windows_begin_where_they_should_and_hold_a_block() -> None:
    def check(source: ByteSource) -> None:
        for offset in (0, 0, 1, 600, 600, 5000, len(DATA) - 512, len(DATA) - 3):
            window = source.window(offset)
            assert len(window) >= min(512, len(DATA) - offset)
            assert DATA[offset:].startswith(window)
        assert source.window(len(DATA)) == b""

    everywhere(DATA, check)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 3000)), max_size=6))
def test_reading_forwards_gives_the_bytes(steps: list[tuple[int, int]]) -> None:
    def check(source: ByteSource) -> None:
        offset = 0
        for skip, size in steps:
            offset += skip
            if offset + size > len(DATA):
                with pytest.raises(TruncatedError):
                    source.read(offset, size)
                return
            assert source.read(offset, size) == DATA[offset : offset + size]
            offset += size

    everywhere(DATA, check)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_digests_are_those_of_the_range(offset: int, size: int) -> None:
    def check(source: ByteSource) -> None:
        expected = hashlib.sha256(DATA[offset : offset + size]).digest()
        assert source.sha256(offset, size) == expected

    everywhere(DATA, check)


@pytest.mark.parametrize("size", [1, 500, 20000])
def test_what_is_missing_is_truncated_and_said_where(size: int) -> None:
    def check(source: ByteSource) -> None:
        with pytest.raises(TruncatedError) as reported:
            source.read(len(DATA) - 0, size)
        assert reported.value.offset == len(DATA)

    with seekable(DATA) as file:
        check(file)
    check(streamed(DATA))
    check(streamed(b"ab" + DATA).part(2, len(DATA) + size))


def test_a_part_of_a_broken_off_stream_counts_from_its_own_beginning() -> None:
    for ask in ("window", "read", "sha256"):
        part = streamed(b"x" * 100 + b"y" * 50).part(100, 5000)
        with pytest.raises(TruncatedError) as reported:
            part.window(2000) if ask == "window" else getattr(part, ask)(0, 3000)
        assert reported.value.offset == 50


def test_a_stream_does_not_go_back() -> None:
    source = streamed(DATA, 100)
    source.window(5000)
    with pytest.raises(ValueError, match="has passed"):
        source.window(0)


def test_draining_counts_all_bytes() -> None:
    source = streamed(DATA, 1000)
    source.window(3000)
    assert source.drain() == len(DATA)
    assert source.position == len(DATA)


def test_a_reader_gives_all_bytes() -> None:
    def check(source: ByteSource) -> None:
        read = reader_of(source)
        pieces = []
        while piece := read(777):
            pieces.append(piece)
        assert b"".join(pieces) == DATA

    everywhere(DATA, check)


def test_a_stream_keeps_no_more_than_it_needs() -> None:
    left = 200 << 20
    zeros = bytes(1 << 20)

    def read(size: int) -> bytes:
        nonlocal left
        piece = zeros[: min(size, left)]
        left -= len(piece)
        return piece

    source = Stream(read)
    source.sha256(0, 100 << 20)
    source.window(199 << 20)
    assert len(source.window(199 << 20)) <= 2 << 20
