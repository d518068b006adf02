"""Lines, their display, and searching."""

from __future__ import annotations

import random
import re

import pytest

from layerscope.content import lines as module
from layerscope.content.display import (
    ESCAPE,
    cells,
    hex_column,
    hex_digits,
    hex_text,
    hex_width,
    row_text,
    shown,
)
from layerscope.content.finding import MOST, Matches, Needle, find, hex_needle, text_needle
from layerscope.content.lines import LineIndex
from layerscope.errors import Cancelled
from tests.archives import InMemory


def indexed(data: bytes, encoding: str = "utf-8") -> LineIndex:
    index = LineIndex(InMemory(data), encoding)
    index.extend(lambda: False)
    return index


def texts(data: bytes, encoding: str = "utf-8") -> list[str]:
    index = indexed(data, encoding)
    return [row_text(InMemory(data), index.row(row), encoding) for row in range(index.rows)]


def by_hand(data: bytes) -> list[tuple[int, int, int, bool]]:
    rows: list[tuple[int, int, int, bool]] = []
    at = 0
    parts = data.split(b"\n")
    for line, part in enumerate(parts[:-1] if not parts[-1] else parts):
        for piece in range(max(1, -(-len(part) // module.ROW))):
            start = at + piece * module.ROW
            rows.append((start, min(at + len(part), start + module.ROW), line, piece == 0))
        at += len(part) + 1
    return rows


@pytest.mark.parametrize("letters", [b"ab\n", b"abcdefghijklmnopqrstuvwxyz" * 2 + b"\n"])
def test_rows_equal_those_made_by_hand(monkeypatch: pytest.MonkeyPatch, letters: bytes) -> None:
    monkeypatch.setattr(module, "ROW", 8)
    monkeypatch.setattr(module, "BLOCK", 32)
    numbers = random.Random(1)
    for _ in range(500):
        data = bytes(numbers.choice(letters) for _ in range(numbers.randrange(300)))
        index = indexed(data)
        rows = by_hand(data)
        found = [index.row(number) for number in range(index.rows)]
        assert [(row.start, row.end, row.line, row.first) for row in found] == rows
        assert index.lines == (rows[-1][2] + 1 if rows else 0)
        assert index.offset == len(data)
        for number, (start, end, line, first) in enumerate(rows):
            assert index.row_at(start) == index.row_at(max(start, end - 1)) == number
            if first:
                assert index.row_of_line(line) == number
        with pytest.raises(IndexError):
            index.row(len(rows))


def test_an_index_grows_as_it_is_asked() -> None:
    data = b"0123456\n" * 100_000
    index = LineIndex(InMemory(data))
    index.extend(lambda: index.rows > 0)
    assert 0 < index.rows < 100_000
    assert not index.complete
    first = index.rows
    index.extend(lambda: index.rows > first)
    assert index.row(first).start == first * 8
    assert index.row_of_line(10**9) == index.rows - 1
    index.extend(lambda: False)
    assert (index.rows, index.lines, index.complete) == (100_000, 100_000, True)

    def stop() -> bool:
        raise Cancelled

    with pytest.raises(Cancelled):
        LineIndex(InMemory(data)).extend(stop)


def test_lines_of_other_encodings_and_ends() -> None:
    assert texts(b"a\r\nb\r\n") == ["a", "b"]
    assert texts(b"\xef\xbb\xbfa\nb", "utf-8-sig") == ["a", "b"]
    for codec in ("utf-16-le", "utf-16-be"):
        assert texts("\ufeffzwei\r\nZeilen Ċ\n".encode(codec), codec) == ["zwei", "Zeilen Ċ"]
    assert texts("größe".encode("latin-1"), "latin-1") == ["größe"]
    assert texts(b"bad \xff here") == ["bad \udcff here"]
    assert texts(b"") == []
    assert texts(b"\n") == [""]


def test_a_long_line_is_cut_between_characters() -> None:
    for text in ("ä" * 5000, "x" + "ä" * 5000, "日本" * 4000, "x😀" * 3000):
        pieces = texts(text.encode())
        assert len(pieces) > 1
        assert "".join(pieces) == text


def test_a_gigabyte_of_one_line_takes_no_memory() -> None:
    class Zeros:
        size = 64 << 20

        def read(self, offset: int, length: int) -> bytes:
            return b"a" * max(0, min(length, self.size - offset))

    index = LineIndex(Zeros())
    index.extend(lambda: False)
    assert index.rows == (64 << 20) // module.ROW
    assert index.lines == 1
    assert index.row_of_line(0) == 0
    assert not index.row(index.rows - 1).first


# --- display ---


def test_control_characters_are_escaped() -> None:
    pieces = shown("a\x1b[31mb\u202ec\x00\x9b\ud800\u200bd\x7f")
    assert "".join(text for text, _ in pieces) == "a\\e[31mb\\u202ec\\x00\\x9b\\ud800\\u200bd\\x7f"
    assert [text for text, kind in pieces if kind == ESCAPE] == [
        "\\e",
        "\\u202e",
        "\\x00",
        "\\x9b",
        "\\ud800",
        "\\u200b",
        "\\x7f",
    ]


def test_tabs_go_to_the_next_eighth_column() -> None:
    for text, expected in (
        ("\tx", 8),
        ("ab\tx", 8),
        ("日本\tx", 8),
        ("\x1b\tx", 8),
        ("12345678\tx", 16),
    ):
        line = "".join(piece for piece, _ in shown(text))
        assert cells(line[: line.index("x")]) == expected


def test_spans_become_pieces() -> None:
    assert shown("abcdef", [(1, 3, 5), (2, 4, 6), (5, 99, 7)]) == [
        ("a", 0),
        ("bc", 5),
        ("d", 6),
        ("e", 0),
        ("f", 7),
    ]


def test_columns() -> None:
    assert cells("a日\u0301e\u0301") == 4
    assert [hex_width(columns, 8) for columns in (150, 78, 77, 60, 20)] == [32, 16, 16, 8, 4]
    assert hex_digits(100) == 8
    assert hex_digits(1 << 40) == 11
    left, right = hex_text(b"ab\0\xffcdefgh", 16)
    assert left == "61 62 00 ff 63 64 65 66  67 68".ljust(48)
    assert right == "ab..cdefgh"
    assert left[hex_column(8) :].startswith("67")


# --- finding ---


def found(data: bytes, needle: Needle | None) -> list[tuple[int, int]]:
    assert needle is not None
    matches = Matches()
    find(InMemory(data), needle, matches, lambda _: None)
    assert matches.complete
    assert matches.count == len(matches.offsets)
    assert matches.reached == len(data)
    return list(zip(matches.offsets, matches.lengths, strict=True))


def test_a_capital_makes_it_case_sensitive() -> None:
    data = "Find find FIND Ärger ärger".encode()
    assert [at for at, _ in found(data, text_needle("find", "utf-8"))] == [0, 5, 10]
    assert [at for at, _ in found(data, text_needle("Find", "utf-8"))] == [0]
    assert len(found(data, text_needle("ärger", "utf-8"))) == 2
    assert len(found(data, text_needle("Ärger", "utf-8"))) == 1
    assert found(b"a.c abc", text_needle(".", None)) == [(1, 1)]


def test_matches_across_pieces_are_found_once() -> None:
    edge = 256 << 10
    for codec, size in (("utf-8", 1), ("utf-16-le", 2)):
        for shift in range(-4, 5):
            text = "x" * (edge // size + shift) + "néedle" + "y" * 999 + "needle"
            data = text.encode(codec)
            assert len(found(data, text_needle("edle", codec))) == 2
            assert len(found(data, text_needle("É", codec))) == 0
            assert len(found(data, text_needle("é", codec))) == 1
    assert found(b"." * (edge - 3) + b"a" * 8, text_needle("aa", None)) == [
        (edge - 3, 2),
        (edge - 1, 2),
        (edge + 1, 2),
        (edge + 3, 2),
    ]


def test_further_matches_are_only_counted() -> None:
    matches = Matches()
    needle = text_needle("a", None)
    assert needle is not None
    find(InMemory(b"a" * (MOST + 5)), needle, matches, lambda _: None)
    assert (matches.count, len(matches.offsets)) == (MOST + 5, MOST)


def test_hexadecimal() -> None:
    assert found(b"..\xde\xad\xbe\xef.", hex_needle("de ad BEEF")) == [(2, 4)]
    for text in ("", "xy", "abc", "de a"):
        assert hex_needle(text) is None
    assert text_needle("日", "latin-1") is None


def test_wide_characters_are_found_only_at_their_start() -> None:
    data = "\u0161a".encode("utf-16-be")
    assert data == b"\x01\x61\x00\x61"
    assert found(data, text_needle("a", "utf-16-be")) == [(2, 2)]
    assert found("\u6100\u6161".encode("utf-16-be"), text_needle("a", "utf-16-be")) == []


def test_finding_can_be_stopped() -> None:
    def stop(_: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        find(InMemory(b"x"), Needle(re.compile(b"x"), 1), Matches(), stop)

    data = b"some words and more\n" * (1 << 20)
    assert found(data, text_needle("nowhere", "utf-8")) == []
