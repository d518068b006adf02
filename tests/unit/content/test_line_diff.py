"""The differences between two texts."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.content.line_diff import (
    LineDiff,
    changed_spans,
    diff_lines,
    hunks,
    pair_lines,
    unified,
)
from layerscope.content.line_matching import common_runs

#: Few different lines, so that much is ambiguous; some without an end, some hostile.
_LINES = st.lists(
    st.sampled_from([b"a\n", b"b\n", b"  a\n", b"\n", b"\r\n", b"\x1b[31m\n", b"\xff\n", b"\0\n"]),
    max_size=30,
)
_TEXTS = st.builds(
    lambda lines, end: b"".join(lines) + end, _LINES, st.sampled_from([b"", b"a", b"c"])
)


def applied(diff: LineDiff) -> bytes:
    """The new text, from the old one and the blocks."""
    out: list[bytes] = []
    at = 0
    for block in diff.blocks:
        kept = diff.old[at : block.old_start]
        assert kept == diff.new[len(out) : block.new_start]
        out += kept + diff.new[block.new_start : block.new_end]
        at = block.old_end
    return b"".join(out + diff.old[at:])


@given(_TEXTS, _TEXTS)
def test_applying_the_blocks_to_the_old_text_gives_the_new(old: bytes, new: bytes) -> None:
    diff = diff_lines(old, new)
    assert applied(diff) == new
    assert b"".join(diff.old) == old
    for block, following in zip(diff.blocks, diff.blocks[1:], strict=False):
        assert block.old_end < following.old_start
    assert bool(diff.blocks) == (old != new)


@given(_TEXTS, _TEXTS, st.integers(0, 4))
def test_hunks_hold_every_block_once_with_its_context(old: bytes, new: bytes, size: int) -> None:
    diff = diff_lines(old, new)
    found = list(hunks(diff, size))
    assert [block for _, blocks in found for block in blocks] == diff.blocks
    for around, blocks in found:
        assert around.old_start == max(0, blocks[0].old_start - size)
        assert around.old_end == min(len(diff.old), blocks[-1].old_end + size)
        assert around.old_start - around.new_start == blocks[0].old_start - blocks[0].new_start


@given(_LINES, _LINES, st.integers(0, 200))
def test_runs_are_correct_when_cut_short(old: list[bytes], new: list[bytes], steps: int) -> None:
    runs, _ = common_runs(old, new, steps)
    reached = (0, 0)
    for a, b, length in runs:
        assert length > 0
        assert a >= reached[0]
        assert b >= reached[1]
        assert old[a : a + length] == new[b : b + length]
        reached = (a + length, b + length)


@given(_LINES, _LINES)
def test_small_texts_have_the_shortest_diff(old: list[bytes], new: list[bytes]) -> None:
    longest = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, a in enumerate(old):
        for j, b in enumerate(new):
            longest[i + 1][j + 1] = (
                longest[i][j] + 1 if a == b else max(longest[i][j + 1], longest[i + 1][j])
            )
    runs, thorough = common_runs(old, new)
    assert thorough
    assert sum(length for _, _, length in runs) == longest[-1][-1]


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
@pytest.mark.parametrize("seed", range(20))
def test_patch_makes_the_new_text_of_the_old_one(tmp_path: Path, seed: int) -> None:
    pick = random.Random(seed)
    lines = [b"line %d\n" % pick.randrange(12) for _ in range(40)]
    old = b"".join(lines) + (b"no end" if seed % 3 == 0 else b"")
    for _ in range(6):
        lines[pick.randrange(len(lines))] = b"other %d\n" % pick.randrange(5)
        del lines[pick.randrange(len(lines))]
        lines.insert(pick.randrange(len(lines)), b"\ttab \xff\n")
    new = b"".join(lines) + (b"no end either" if seed % 2 else b"")
    (tmp_path / "file").write_bytes(old)
    text = b"--- file\n+++ file\n" + b"".join(unified(diff_lines(old, new)))
    subprocess.run(
        ["patch", "-s", "-p0", "-d", tmp_path, "file"], input=text, check=True, timeout=120
    )
    assert (tmp_path / "file").read_bytes() == new


def test_a_missing_final_newline_is_shown() -> None:
    assert b"".join(unified(diff_lines(b"a\nb", b"a\nb\n"))) == (
        b"@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"
    )
    assert b"".join(unified(diff_lines(b"", b"x"))) == (
        b"@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"
    )
    assert list(unified(diff_lines(b"x\n", b"x\n"))) == []


def test_an_added_function_begins_at_its_first_line() -> None:
    old = b"int a() {\n  x;\n}\n\nint c() {\n  z;\n}\n"
    new = b"int a() {\n  x;\n}\n\nint b() {\n  y;\n}\n\nint c() {\n  z;\n}\n"
    [block] = diff_lines(old, new).blocks
    assert (block.new_start, block.new_end) == (4, 8)


@pytest.mark.parametrize(
    "shape", ["two values", "few values", "nothing alike", "shuffled", "one value", "one line"]
)
def test_time_is_bounded(shape: str) -> None:
    pick = random.Random(shape)
    n = 100_000

    def values(count: int) -> bytes:
        return b"".join(b"%d\n" % pick.randrange(count) for _ in range(n))

    lines = [b"%d\n" % i for i in range(n)]
    old, new = {
        "two values": (values(2), values(2)),
        "few values": (values(100), values(100)),
        "nothing alike": (b"".join(lines), b"".join(b"x" + line for line in lines)),
        "shuffled": (b"".join(lines), b"".join(pick.sample(lines, n))),
        "one value": (b"a\n" * n, b"a\n" * (n // 2) + b"b\n" + b"a\n" * (n // 4)),
        "one line": (b"a" * 10 * n, b"a" * 5 * n + b"b"),
    }[shape]
    diff = diff_lines(old, new)
    assert applied(diff) == new


def test_every_tenth_of_many_lines() -> None:
    old = b"".join(b"%d\n" % i for i in range(50_000))
    new = b"".join(b"%d\n" % i if i % 10 else b"%dx\n" % i for i in range(50_000))
    diff = diff_lines(old, new)
    assert diff.thorough
    assert (diff.added, diff.removed, len(diff.blocks)) == (5_000, 5_000, 5_000)


def test_lines_that_correspond() -> None:
    old = ["ENV A=1", "RUN make install", "EXPOSE 80"]
    new = ["# a comment", "ENV A=2", "EXPOSE 8080"]
    assert pair_lines(old, new) == [(0, 1), (2, 2)]
    assert pair_lines(["x = compute(1)"], ["something else entirely"]) == []
    assert pair_lines(["a"] * 100, ["a"] * 100) == []
    assert pair_lines([], ["a"]) == []


def words(line: str, spans: list[tuple[int, int]]) -> list[str]:
    return [line[start:end] for start, end in spans]


def test_what_changed_within_a_line() -> None:
    old, new = "root:x:0:0:root:/root:/bin/sh", "root:x:0:0:root:/root:/bin/bash"
    gone, come = changed_spans(old, new)
    assert (words(old, gone), words(new, come)) == (["sh"], ["bash"])
    gone, come = changed_spans("a b c d", "a x y d")
    assert (words("a b c d", gone), words("a x y d", come)) == (["b c"], ["x y"])
    assert changed_spans("same", "same") == ([], [])


@given(st.text(max_size=40), st.text(max_size=40))
def test_unmarked_parts_are_equal(old: str, new: str) -> None:
    gone, come = changed_spans(old, new)

    def rest(line: str, spans: list[tuple[int, int]]) -> str:
        return "".join(
            character
            for at, character in enumerate(line)
            if not any(start <= at < end for start, end in spans)
        )

    kept = [rest(line, spans) for line, spans in ((old, gone), (new, come))]
    assert "".join(kept[0].split()) == "".join(kept[1].split())


def test_lines_without_end_are_compared_at_their_ends() -> None:
    old = "x" * 100_000 + "1" + "y" * 100_000
    new = "x" * 100_000 + "22" + "y" * 100_000
    assert changed_spans(old, new) == ([(100_000, 100_001)], [(100_000, 100_002)])
    assert changed_spans("a" * 3000, "a" * 2500) == ([(2500, 3000)], [])
