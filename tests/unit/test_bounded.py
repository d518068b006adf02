"""Files that are no files, programs that never end, lines without an end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.bounded import Lines, open_regular, read_file
from layerscope.programs import OutputError, run


def things_in_place_of(path: Path) -> list[str]:
    """Makes what may stand where a file should be."""
    os.mkfifo(path.with_suffix(".fifo"))
    path.with_suffix(".zero").symlink_to("/dev/zero")
    path.with_suffix(".loop").symlink_to(path.with_suffix(".loop"))
    path.with_suffix(".folder").mkdir()
    path.with_suffix(".large").write_bytes(b"x" * 11)
    return ["fifo", "zero", "loop", "folder", "large", "missing", "nul\0"]


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_file(path, 10) == b"x" * 10
    for ending in things_in_place_of(path):
        with pytest.raises(OSError, match=r".") as caught:
            read_file(f"{tmp_path}/file.{ending}", 10)
        assert caught.value.strerror, ending


def test_a_pipe_without_a_reader_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="No such device"):
        open_regular(tmp_path / "fifo", os.O_WRONLY)


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 30))
def test_lines_are_those_of_the_whole(pieces: list[bytes], longest: int) -> None:
    lines = Lines(longest)
    found = []
    for piece in pieces:
        found += [(lines.offset, line) for line in lines.feed(piece)]
    whole = b"".join(pieces)
    expected, place = [], 0
    *full, rest = whole.split(b"\n")
    for line in full:
        expected.append((place, line[:longest]))
        place += len(line) + 1
    assert found == expected
    assert lines.rest == rest[:longest]
    assert lines.offset == place
    assert lines.cut == (len(rest) > longest)


def test_a_program_is_given_its_input_and_ends() -> None:
    assert run(["cat"], b"in" * 100_000, seconds=60) == (0, b"in" * 100_000, b"")
    script = "echo out; echo err >&2; exit 3"
    assert run(["sh", "-c", script], seconds=60, errors=True) == (3, b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("yes", "printed too much"),
        ("cat /dev/zero >&2", "printed too much"),
        ("sleep 600", "took longer than 0.2 s"),
        ("sleep 600 & exit 0", "took longer than 0.2 s"),
    ],
)
def test_a_program_that_does_not_end(script: str, says: str) -> None:
    seconds = 0.2 if "sleep" in script else 600
    with pytest.raises(OutputError, match=says):
        run(["sh", "-c", script], seconds=seconds, most=1 << 16, errors=True, group=True)
