"""Reading and searching the lines of a log in a journal."""

from __future__ import annotations

import json
import random
from array import array
from pathlib import Path

import pytest

from layerscope.build.log_lines import LogLines
from layerscope.text import COLORS


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def written(path: Path, texts: list[str]) -> array[int]:
    """A journal of these lines with others in between, and their offsets."""
    offsets = array("Q")
    with path.open("wb") as file:
        for number, text in enumerate(texts):
            if number % 3 == 0:
                file.write(b'{"event":"log","text":"of no step"}\n')
            offsets.append(file.tell())
            event = {"event": "log", "step": 1, "text": text}
            file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
    return offsets


def test_lines_of_any_length(tmp_path: Path) -> None:
    texts = ["a", "", "x" * 65536, "\x01" * 65536, "é\udcff", "b" * 70_000, "end"] * 3
    offsets = written(tmp_path / "journal", texts)
    log = LogLines(tmp_path / "journal")
    assert list(log.lines(offsets, 0, len(texts))) == texts
    for row, text in enumerate(texts):
        assert list(log.lines(offsets, row, row + 1)) == [text]


def test_appended_lines_are_read_with_one_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    before = descriptors()
    offsets = written(path, ["a"])
    log = LogLines(path)
    assert list(log.lines(offsets, 0, 1)) == ["a"]
    offsets.append(path.stat().st_size)
    with path.open("ab") as file:
        file.write(b'{"event":"log","step":1,"text":"b"}\n')
    assert list(log.lines(offsets, 0, 2)) == ["a", "b"]
    assert descriptors() == before + 1
    del log
    assert descriptors() == before


def test_a_removed_journal_has_empty_lines(tmp_path: Path) -> None:
    assert list(LogLines(tmp_path / "none").lines(array("Q", [0]), 0, 1)) == [""]


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("seed", range(30))
def test_a_search_finds_the_same_as_reading_each_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, step: int
) -> None:
    monkeypatch.setattr("layerscope.build.log_lines._BATCH", 200)
    chance = random.Random(seed)
    parts = ["error", "Er\x1b[31mror", "É", "\\", '"', "x", "/a", "\x1b[0m", "\t", " "]
    texts = ["".join(chance.choices(parts, k=chance.randrange(4))) for _ in range(80)]
    offsets = written(tmp_path / "journal", texts)
    log = LogLines(tmp_path / "journal")
    for needle in ("error", "ERROR", "é", "\\", '"x', "/A", "nothing", "31"):
        start = chance.randrange(len(texts))
        rows = [(start + step * n) % len(texts) for n in range(len(texts))]
        fitting = [n for n in rows if needle.lower() in COLORS.sub("", texts[n]).lower()]
        assert log.find(offsets, needle, start, step) == next(iter(fitting), None), needle


def test_a_search_can_be_stopped(tmp_path: Path) -> None:
    offsets = written(tmp_path / "journal", ["a"])
    assert LogLines(tmp_path / "journal").find(offsets, "a", 0, stopped=lambda: True) is None
